"""What memory keeps of a decision once it is in force: a tuned change waits for its verdict."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from paceline_operator.core.model.decision import Decision, Reason
from paceline_operator.core.model.tunables import Verdict
from paceline_operator.core.situation.memory import Measured, Memory, Pending, Rejected
from paceline_operator.core.situation.situation import Situation
from paceline_operator.core.verdict.restarts import failing
from paceline_operator.core.verdict.rollback import MOST_REJECTED

OUTGROWN_FOR: Final = 30
"""Windows for which values that proved too small are not returned to: theory must not undo what was measured."""
PATIENCE: Final = 1.5
"""Times as long as the window before a change the one after it may take."""
EXPLICIT: Final = frozenset({Reason.PINNED_BY_SPEC, Reason.CLAMPED, Reason.BUDGET_EXHAUSTED, Reason.ADMISSION_SIZED})
"""What a person or a bound demands: no cooldown, no verdict."""


def remember(situation: Situation, memory: Memory, decision: Decision, generation: int) -> Memory:
    """The memory after a decision has been applied as `generation`: a tuned change waits for its verdict."""
    if not decision.changes or decision.reason in EXPLICIT:
        return memory
    recent = tuple(time for time in memory.changes if situation.now - time < timedelta(hours=1))
    memory = replace(memory, changes=(*recent, situation.now))
    past, baseline = _before(situation, decision)
    if not decision.tuned or baseline is None:
        return memory
    pending = Pending(
        generation,
        decision.changes,
        decision.reason,
        baseline,
        since=situation.now,
        deadline=_deadline(situation, baseline),
        tried_on=decision.tried_on,
        template=situation.fleet.template,
        failing=failing(situation),
        past=past,
        promised=decision.promised,
    )
    if decision.tried_on:
        return replace(memory, pending=pending, tried=decision.tried_on[-1])
    return replace(memory, pending=pending, oversized={}, rejected=_outgrown(situation, memory, decision))


def awaited_anew(situation: Situation, pending: Pending) -> Pending:
    """With as long a time again as a verdict may take."""
    return replace(pending, deadline=_deadline(situation, pending.baseline))


def _deadline(situation: Situation, baseline: Measured) -> datetime:
    """Five intervals for the window; where that of the baseline took longer, since requests were few even then, half as
    long again as that took, and never more than the longest window. Worked example at 60 s: five minutes after a window
    of one minute, 45 minutes after one of half an hour."""
    behavior, rate = situation.policy.behavior, baseline.requests_per_second
    usual, longest = behavior.usual_window.total_seconds(), behavior.longest_window.total_seconds()
    before = baseline.samples / rate if rate > 0 else 0.0
    window = timedelta(seconds=min(PATIENCE * before, longest) if before > usual else usual)
    return situation.now + behavior.settle + window + behavior.interval


def _before(situation: Situation, decision: Decision) -> tuple[Measured | None, Measured | None]:
    """What the pods of a trial did in the window that led to it, and what the others did; nothing of the former where
    all pods get the change, or where pods cannot be told apart."""
    observation, tried = situation.observation, frozenset(decision.tried_on)
    if observation is None:
        return None, None
    own, others = observation.of(tried), observation.of(observation.each.keys() - tried)
    if own is None or others is None:
        return None, Measured.of(observation)
    return Measured.of(own), Measured.of(others)


def _outgrown(situation: Situation, memory: Memory, decision: Decision) -> tuple[Rejected, ...]:
    lever = decision.changes[0]
    shrinks = lever.old is None or lever.new < lever.old
    if shrinks and decision.reason is not Reason.DATABASE_SATURATED:
        return memory.rejected
    until = situation.now + OUTGROWN_FOR * situation.policy.behavior.interval
    more = (change for change in decision.changes if change.old is not None and change.new > change.old)
    grown = tuple(str(each.tunable) for each in more if each.tunable.descriptor.verdict is Verdict.MUST_GAIN)
    return (*memory.rejected, Rejected(dict(situation.values), until, grown=grown))[-MOST_REJECTED:]
