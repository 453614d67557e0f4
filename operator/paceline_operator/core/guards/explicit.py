"""What needs no measurement: values that the policy pins, bounds and budgets that the values in force break."""

from paceline_operator.core.laws.constraints import budgeted, fitted, within_budgets
from paceline_operator.core.model.decision import Change, Decision, Reason, differences
from paceline_operator.core.model.tunables import WORKERS, Kind, Values, with_workers
from paceline_operator.core.situation.situation import Situation


def explicit_changes(situation: Situation) -> Decision | None:
    """Moves pinned tunables to their value and others into their bounds; None when all is as the policy says.

    A tunable whose value nobody reports is written only if it is pinned: clamping the unknown would be a guess.
    """
    pinned, bounded = [], []
    for tunable, spec in situation.policy.tunables.items():
        old = situation.values.get(tunable)
        if spec.pinned is not None:
            if old != spec.pinned:
                pinned.append(Change(tunable, old, spec.pinned))
        elif old is not None and spec.allowed(old) != old:
            bounded.append(Change(tunable, old, spec.allowed(old)))
    if not pinned and not bounded:
        return _within_budgets(situation)
    reason = Reason.PINNED_BY_SPEC if pinned else Reason.CLAMPED
    return Decision((*pinned, *bounded), reason, _message(pinned, bounded))


def _within_budgets(situation: Situation) -> Decision | None:
    """Shrinks at once what breaks a ConnectionBudget in the worst case: pools first, then workers."""
    values = situation.values
    if within_budgets(situation, values):
        return None
    names = ", ".join(f"{name} of {situation.budgets[name].connections}" for name, _ in budgeted(situation))
    changes = differences(values, _shrunk(situation))
    message = f"{', '.join(map(str, changes)) or 'nothing can shrink'}: the worst case breaks ConnectionBudget {names}"
    return Decision(changes, Reason.BUDGET_EXHAUSTED, message) if changes else None


def _shrunk(situation: Situation) -> Values:
    spec = situation.policy.tunables.get(WORKERS)
    now = situation.values.get(WORKERS, 1.0)
    least = spec.bounds.minimum if spec is not None and spec.bounds is not None else now
    pools = {t: v for t, v in situation.values.items() if t.kind is Kind.POOL}
    for workers in range(int(now), int(least) - 1, -1):
        sizes = fitted(situation, pools, workers)
        if sizes is not None:
            return {**with_workers(situation.values, float(workers)), **sizes}
    return situation.values


def _message(pinned: list[Change], bounded: list[Change]) -> str:
    parts = []
    if pinned:
        parts.append(f"{', '.join(map(str, pinned))}: the policy gives the value")
    if bounded:
        parts.append(f"{', '.join(map(str, bounded))}: the policy's bounds")
    return "; ".join(parts)
