"""Values that a person has asked to go back to, and that are held until the request is withdrawn."""

from collections.abc import Iterator

from paceline_operator.core.model.decision import Change, Decision, Reason
from paceline_operator.core.model.policy import TunableSpec
from paceline_operator.core.model.tunables import Values
from paceline_operator.core.situation.situation import Held, Situation


def hold(situation: Situation, held: Held) -> Decision:
    """The way to the held values, or the hold once they are in force. What the policy pins or bounds goes first."""
    if not held.values:
        return Decision((), Reason.NOT_REPORTING, f"held at {held.label}, whose values no pod reports")
    changes = tuple(_changes(situation, held.values))
    named = ", ".join(map(str, changes)) or "nothing to change"
    message = f"{named}: held at {held.label} by annotation until it is removed{_limited(situation, held.values)}"
    return Decision(changes, Reason.ROLLED_BACK, message)


def _changes(situation: Situation, values: Values) -> Iterator[Change]:
    for tunable, spec in situation.policy.tunables.items():
        old = situation.values.get(tunable)
        if spec.pinned is None and tunable in values and old != spec.allowed(values[tunable]):
            yield Change(tunable, old, spec.allowed(values[tunable]))


def _limited(situation: Situation, values: Values) -> str:
    limits = [
        f"{tunable} was {tunable.describe(value)}"
        for tunable, spec in situation.policy.tunables.items()
        if (value := values.get(tunable)) is not None and _kept_from(spec, value)
    ]
    return f"; the policy allows less or pins it: {', '.join(limits)}" if limits else ""


def _kept_from(spec: TunableSpec, value: float) -> bool:
    return value != (spec.allowed(value) if spec.pinned is None else spec.pinned)
