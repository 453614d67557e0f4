"""From the best setting to a proposal: what moves, which reason that has, and the numbers that speak for it."""

from dataclasses import replace
from typing import Final

from paceline_operator.core.choice.choose import Choice, budget_binds, choose, least_gain
from paceline_operator.core.laws.diagnose import Finding
from paceline_operator.core.laws.recommend import Proposal
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.decision import Change, Decision, Reason, differences
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.policy import Bounds, Objective, Prefer, TunableSpec
from paceline_operator.core.model.tunables import NOTHING, WORKERS
from paceline_operator.core.queueing.predict import Model
from paceline_operator.core.situation.situation import Situation

BEYOND: Final = 4
"""How far beyond the policy's maximum it is worth looking."""
THROTTLED: Final = 0.06
"""Stalls in more than one period in twenty reach the 95th percentile."""


def propose(situation: Situation, model: Model, objective: Objective) -> Proposal | None:
    """The change that the model finds worth making; None where nothing better is within reach."""
    choice = choose(situation, model, objective)
    observation = situation.observation
    if choice is None or observation is None:
        return None
    changes = differences(situation.values, choice.best.values)
    reason = _reason(situation, observation, objective, changes)
    evidence = f"{_signals(observation)}; {_expected(choice, observation)}"
    # Half of the tolerance is what the choice asks for; the limit on proposals asks for the whole of it.
    severity = 1 + choice.gain / least_gain(situation) * situation.policy.behavior.tolerance
    finding = Finding(reason, changes[0].tunable, max(severity, 1 + 2 * situation.policy.behavior.tolerance), evidence)
    promised = 1 - choice.best.p95_seconds / choice.current.p95_seconds
    return Proposal(finding, changes, predicted=True, promised=promised if promised > 0 else None)


def out_of_bounds(situation: Situation, model: Model, objective: Objective) -> Decision | None:
    """What would help were it allowed, while the objective is missed: more than the policy's bounds or its budgets."""
    observation = situation.observation
    if observation is None or (observation.response_seconds or 0.0) <= objective.limit.total_seconds():
        return None
    choice = choose(_unbounded(situation), model, objective)
    if choice is None or choice.gain <= situation.policy.behavior.tolerance:
        return None
    changes = differences(situation.values, choice.best.values)
    fits = all(_allowed(situation, change) for change in changes)
    reason = Reason.BUDGET_EXHAUSTED if fits else Reason.AT_MAXIMUM
    lacking = "the connection budget" if fits else "the policy's maximum"
    why = f"{_signals(observation)}; {_expected(choice, observation)}"
    message = f"{', '.join(map(str, changes))} would help, but for {lacking}: {why}"
    return Decision((), reason, situation.evidence(message), changes, limited_by=reason)


def _unbounded(situation: Situation) -> Situation:
    specs = {tunable: _widened(spec) for tunable, spec in situation.policy.tunables.items()}
    return replace(situation, policy=replace(situation.policy, tunables=specs), budgets=NOTHING)


def _widened(spec: TunableSpec) -> TunableSpec:
    if spec.bounds is None:
        return spec
    return replace(spec, bounds=Bounds(spec.bounds.minimum, BEYOND * spec.bounds.maximum), budget=None)


def _allowed(situation: Situation, change: Change) -> bool:
    return situation.policy.tunables[change.tunable].allowed(change.new) == change.new


def _reason(
    situation: Situation, observation: Observation, objective: Objective, changes: tuple[Change, ...]
) -> Reason:
    lever = changes[0]
    grows = lever.old is not None and lever.new > lever.old
    if lever.tunable != WORKERS:
        return Reason.POOL_WAIT_HIGH if any(_grew(change) for change in changes) else Reason.POOL_OVERSIZED
    if grows:
        return Reason.LOOP_LAG_HIGH
    if (observation.throttled_ratio or 0.0) > THROTTLED and objective.prefer is Prefer.LATENCY:
        return Reason.THROTTLING_HIGH
    if any(_grew(change) for change in changes[1:]) and budget_binds(situation, situation.values):
        return Reason.BUDGET_CONSOLIDATED
    return Reason.WORKERS_OVERSIZED


def _grew(change: Change) -> bool:
    return change.old is not None and change.new > change.old


def _signals(observation: Observation) -> str:
    parts = []
    if observation.loop_lag_p95 is not None:
        parts.append(f"loop lag p95 {format_duration(observation.loop_lag_p95)}")
    if observation.throttled_ratio:
        parts.append(f"{observation.throttled_ratio:.0%} of periods throttled")
    if observation.cpu_ratio is not None:
        parts.append(f"CPU at {observation.cpu_ratio:.0%}")
    for name, pool in observation.pools.items():
        wait = pool.wait.quantile(0.99)
        if wait:
            parts.append(f"{name} wait p99 {format_duration(wait)}")
    return ", ".join(parts)


def _expected(choice: Choice, observation: Observation) -> str:
    figure = observation.figure
    before, after = figure.told(choice.current.p95_seconds), figure.text(choice.best.p95_seconds)
    how = "seen before under this load" if choice.best.measured else "predicted"
    return f"{before} → {after} {how}"
