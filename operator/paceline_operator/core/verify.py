"""Judges a change by the window after it: keep it, or go back to what was.

Keep unless p95 rose beyond the dead band or errors rose. The dead band is `max(10 %, tolerance, √2 · 3.58/√n)`: the
last term is what two windows of n requests differ by chance. Source: the 95 % interval of a
lognormal p95 (CV 1) is ± 8 % at n = 2000, ± 2.5 % at 20000.

| n | dead band |
| --- | --- |
| 200 | 36 % |
| 2000 | 11 % |
| 20000 | 10 % |
"""

from dataclasses import replace
from datetime import timedelta
from math import sqrt
from typing import Final

from paceline_operator.core.durations import format_duration
from paceline_operator.core.model import Change, Decision, Reason
from paceline_operator.core.situation import Measured, Memory, Pending, Rejected, Situation

LEAST_DEAD_BAND: Final = 0.10
CHANCE: Final = sqrt(2) * 3.58
LOAD_MOVED: Final = 1.15
"""Above this ratio of request rates the later window carries more load."""
MORE_ERRORS: Final = 0.001
"""A rise of the error ratio that counts: 0.1 percentage points."""
REJECTED_FOR: Final = 10
"""Windows for which values that were rolled back are not tried again."""
OUTGROWN_FOR: Final = 30
"""Windows for which values that proved too small are not returned to: theory must not undo what was measured."""
MOST_REJECTED: Final = 8
BREAKER_ROLLBACKS: Final = 3
BREAKER_TIME: Final = timedelta(hours=1)
"""So many changes taken back within this time, and tuning rests for as long."""
EXPLICIT: Final = frozenset({Reason.PINNED_BY_SPEC, Reason.CLAMPED})
"""What a person or a bound demands: no cooldown, no verdict."""


def verify(situation: Situation) -> tuple[Decision | None, Memory]:
    """The roll back, if there must be one, and the memory after the verdict; until then the change is pending."""
    pending, memory = situation.memory.pending, situation.memory
    if pending is None:
        return None, memory
    if situation.fleet.out_of_memory and situation.fleet.restarts > pending.restarts:
        return _roll_back(situation, pending, Reason.OUT_OF_MEMORY, "a container was killed for memory since")
    measured = Measured.of(situation.observation) if situation.observation else None
    if measured is None or measured.samples < situation.policy.behavior.min_samples:
        if situation.now < pending.deadline:
            return None, memory
        return _roll_back(
            situation, pending, Reason.ROLLED_BACK, "no verdict before its deadline: too little telemetry"
        )
    objection = _objection(situation, pending, measured)
    if objection:
        return _roll_back(situation, pending, Reason.ROLLED_BACK, objection)
    return None, replace(memory, pending=None, last_known_good=dict(situation.values))


def remember(situation: Situation, memory: Memory, decision: Decision, generation: int) -> Memory:
    """The memory after a decision has been applied as `generation`: a tuned change waits for its verdict."""
    if not decision.changes or decision.reason in EXPLICIT:
        return memory
    recent = tuple(time for time in memory.changes if situation.now - time < timedelta(hours=1))
    memory = replace(memory, changes=(*recent, situation.now))
    baseline = Measured.of(situation.observation) if situation.observation else None
    if not decision.tuned or baseline is None:
        return memory
    behavior = situation.policy.behavior
    pending = Pending(
        generation,
        decision.changes,
        decision.reason,
        baseline,
        since=situation.now,
        deadline=situation.now + behavior.settle + behavior.longest_window + behavior.interval,
        restarts=situation.fleet.restarts,
    )
    return replace(memory, pending=pending, oversized={}, rejected=_outgrown(situation, memory, decision))


def _outgrown(situation: Situation, memory: Memory, decision: Decision) -> tuple[Rejected, ...]:
    lever = decision.changes[0]
    if lever.old is None or lever.new < lever.old:
        return memory.rejected
    until = situation.now + OUTGROWN_FOR * situation.policy.behavior.interval
    return (*memory.rejected, Rejected(dict(situation.values), until))[-MOST_REJECTED:]


def dead_band(tolerance: float, samples: int) -> float:
    """By how much, as a share, p95 may rise before a change is taken back."""
    return max(LEAST_DEAD_BAND, tolerance, CHANCE / sqrt(samples))


def _objection(situation: Situation, pending: Pending, measured: Measured) -> str:
    baseline = pending.baseline
    if measured.error_ratio > baseline.error_ratio + MORE_ERRORS:
        return f"errors {baseline.error_ratio:.2%} → {measured.error_ratio:.2%}"
    ratio = measured.p95_seconds / max(baseline.p95_seconds, 1e-6)
    allowed = 1 + dead_band(situation.policy.behavior.tolerance, min(measured.samples, baseline.samples))
    if ratio <= allowed or _explained_by_load(pending, measured):
        return ""
    before, after = format_duration(baseline.p95_seconds), format_duration(measured.p95_seconds)
    return f"p95 {before} → {after}, ×{ratio:.2f} > {allowed:.2f}"


def _explained_by_load(pending: Pending, measured: Measured) -> bool:
    """More capacity that serves more requests is not to blame for slower ones."""
    grew = any(change.old is not None and change.new > change.old for change in pending.changes)
    return grew and measured.requests_per_second > LOAD_MOVED * pending.baseline.requests_per_second


def _roll_back(situation: Situation, pending: Pending, reason: Reason, why: str) -> tuple[Decision, Memory]:
    # What has been changed by hand since is not ours to undo.
    back = tuple(
        Change(change.tunable, change.new, change.old)
        for change in pending.changes
        if change.old is not None and situation.values.get(change.tunable) == change.new
    )
    until = situation.now + REJECTED_FOR * situation.policy.behavior.interval
    rejected = (*situation.memory.rejected, Rejected(dict(situation.values), until))[-MOST_REJECTED:]
    undone = ", ".join(map(str, back)) or "nothing left to undo"
    message = f"{undone}: {why} (after {pending.reason}, {_age(situation, pending)} ago)"
    rollbacks = (*situation.memory.rollbacks, situation.now)[-BREAKER_ROLLBACKS:]
    memory = replace(situation.memory, pending=None, rejected=rejected, rollbacks=rollbacks)
    return Decision(back, reason, situation.evidence(message)), memory


def _age(situation: Situation, pending: Pending) -> str:
    return format_duration(max(timedelta(), situation.now - pending.since))
