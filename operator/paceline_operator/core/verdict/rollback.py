"""The way back from a change that was not kept, and what is learnt from it: values not to try again, and the breaker
that lets tuning rest when too many changes in a row were taken back."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from paceline_operator.core.laws.contention import disproved
from paceline_operator.core.model.decision import Change, Decision, Reason, apply_changes
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.tunables import WORKERS, Kind, Values
from paceline_operator.core.situation.memory import Ceiling, Memory, Pending, Probing, Rejected
from paceline_operator.core.situation.situation import Situation
from paceline_operator.core.verdict.restarts import grew

REJECTED_FOR: Final = 60
"""Windows for which values that were rolled back are not tried again, under the same load and pod template."""
DISPROVED_FOR: Final = 10
"""Windows for which nothing of the kind is tried, once fewer connections made a slow database no faster."""
MOST_REJECTED: Final = 16
BREAKER_ROLLBACKS: Final = 3
BREAKER_TIME: Final = timedelta(hours=1)
"""So many changes taken back within this time, and tuning rests for as long."""
FIRST_GAP: Final = 6
LONGEST_GAP: Final = 192
"""Windows between probes: 6, 12, 24, … 192."""


def roll_back(
    situation: Situation, pending: Pending, reason: Reason, why: str, *, kept_from: bool = False
) -> tuple[Decision, Memory]:
    """The way back, and the memory with the values as rejected; `kept_from`: pods cannot live with so many workers."""
    judged = under_judgement(situation.values, pending)
    back = way_back(judged, pending)
    until = situation.now + DISPROVED_FOR * situation.policy.behavior.interval
    rejected = (*situation.memory.rejected, _rejected(situation, pending, judged))[-MOST_REJECTED:]
    undone = (", ".join(map(str, back)) or "nothing left to undo") + on_trial(pending, situation.fleet.total)
    message = f"{undone}: {why} (after {pending.reason}, {_age(situation, pending)} ago)"
    ceiling = _ceiling(situation, pending) if kept_from else situation.memory.ceiling
    memory = replace(situation.memory, pending=None, rejected=rejected, ceiling=ceiling)
    if pending.reason is Reason.DATABASE_SATURATED:
        pools = (change.tunable for change in back if change.tunable.kind is Kind.POOL)
        memory = replace(memory, drowned=disproved(situation, pools, until))
    return Decision(back, reason, situation.evidence(message)), failed(situation, pending, memory)


def _rejected(situation: Situation, pending: Pending, judged: Values) -> Rejected:
    until = situation.now + REJECTED_FOR * situation.policy.behavior.interval
    return Rejected(dict(judged), until, pending.baseline.load, situation.fleet.template)


def way_back(judged: Values, pending: Pending) -> tuple[Change, ...]:
    """The changes that undo it. What has been changed by hand since is not ours to undo."""
    return tuple(
        Change(change.tunable, change.new, change.old)
        for change in pending.changes
        if change.old is not None and judged.get(change.tunable) == change.new
    )


def failed(situation: Situation, pending: Pending, memory: Memory) -> Memory:
    """The memory with one more failure: the breaker counts it, or, after a probe, the next probe waits longer."""
    if pending.reason is not Reason.PROBE:
        return replace(memory, rollbacks=(*memory.rollbacks, situation.now)[-BREAKER_ROLLBACKS:])
    # That a probe gains nothing is what to expect, and no sign that anything is not understood.
    failures = memory.probing.failures + 1
    return replace(memory, probing=Probing(failures, situation.now + gap(situation, failures)))


def gap(situation: Situation, failures: int) -> timedelta:
    """Until the next probe after so many in a row that gained nothing."""
    return situation.policy.behavior.interval * min(FIRST_GAP << failures, LONGEST_GAP)


def _ceiling(situation: Situation, pending: Pending) -> Ceiling | None:
    """The worker count that containers did not survive. The count before it ran well, and stays allowed: a change of
    something else teaches nothing of workers."""
    if not grew(pending):
        return situation.memory.ceiling
    return Ceiling(under_judgement(situation.values, pending).get(WORKERS, 1.0), situation.fleet.template)


def under_judgement(values: Values, pending: Pending) -> Values:
    """The values that wait for their verdict: those in force, or those that some pods try."""
    return apply_changes(values, pending.changes) if pending.tried_on else values


def deployed_since(situation: Situation, pending: Pending) -> bool:
    """Whether pods of another template run since the change, or are about to."""
    fleet = situation.fleet
    return fleet.rolling_out or bool(pending.template and fleet.template and pending.template != fleet.template)


def on_trial(pending: Pending, pods: int) -> str:
    """` on 1 of 6 pods`; empty for a change that all pods have."""
    return f" on {len(pending.tried_on)} of {pods} pods" if pending.tried_on else ""


def _age(situation: Situation, pending: Pending) -> str:
    return format_duration(max(timedelta(), situation.now - pending.since))
