"""What needs no measurement: values that the policy pins, and bounds that the values in force break."""

from paceline_operator.core.model import Change, Decision, Reason
from paceline_operator.core.situation import Situation


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
        return None
    reason = Reason.PINNED_BY_SPEC if pinned else Reason.CLAMPED
    return Decision((*pinned, *bounded), reason, _message(pinned, bounded))


def _message(pinned: list[Change], bounded: list[Change]) -> str:
    parts = []
    if pinned:
        parts.append(f"{', '.join(map(str, pinned))}: the policy gives the value")
    if bounded:
        parts.append(f"{', '.join(map(str, bounded))}: the policy's bounds")
    return "; ".join(parts)
