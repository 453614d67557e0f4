"""Judges a change by the window after it: keep it, or go back to what was.

Keep unless p95 rose beyond the dead band `max(10 %, tolerance, 3 σ, √2 · 3.58/√n)`, or surely by more than 5 %, or
errors rose. σ is the noise between windows in which nothing changed; the last term is what two windows of n requests
differ by chance. Source: the 95 % interval of a lognormal p95 (CV 1) is ± 8 % at n = 2000, ± 2.5 % at 20000.
A probe is kept only if it gained 1.5 % and more than the noise. Windows compare only if load and route mix are alike.

| n | chance | dead band | surely worse from |
| --- | --- | --- | --- |
| 200 | 36 % | 36 % | 43 % |
| 2000 | 11 % | 11 % | 17 % |
| 20000 | 3.6 % | 10 % | 9 % |
"""

from dataclasses import replace
from datetime import timedelta
from math import hypot, sqrt
from typing import Final

from paceline_operator.core.contention import NO_MORE, disproved, drowning, endangers, no_relief
from paceline_operator.core.diagnose import all_lent
from paceline_operator.core.durations import format_duration
from paceline_operator.core.experience import noise_of, same_load
from paceline_operator.core.memory import Ceiling, Measured, Memory, Pending, Probing, Rejected
from paceline_operator.core.model import WORKERS, Change, Decision, Kind, Prefer, Reason, Values, apply_changes
from paceline_operator.core.situation import Situation

LEAST_DEAD_BAND: Final = 0.10
CHANCE: Final = sqrt(2) * 3.58
SURELY_WORSE: Final = 1.05
PROBE_GAIN: Final = 0.015
MIX_MOVED: Final = 0.15
"""Share of the requests that went to other routes, above which two windows do not compare."""
MOST_VOIDS: Final = 2
MORE_ERRORS: Final = 0.001
"""A rise of the error ratio that counts: 0.1 percentage points."""
VAIN_GROWTH: Final = 1.25
REJECTED_FOR: Final = 10
"""Windows for which values that were rolled back are not tried again."""
OUTGROWN_FOR: Final = 30
"""Windows for which values that proved too small are not returned to: theory must not undo what was measured."""
MOST_REJECTED: Final = 8
BREAKER_ROLLBACKS: Final = 3
BREAKER_TIME: Final = timedelta(hours=1)
"""So many changes taken back within this time, and tuning rests for as long."""
FIRST_GAP: Final = 6
LONGEST_GAP: Final = 192
"""Windows between probes: 6, 12, 24, … 192."""
EXPLICIT: Final = frozenset({Reason.PINNED_BY_SPEC, Reason.CLAMPED, Reason.BUDGET_EXHAUSTED, Reason.ADMISSION_SIZED})
"""What a person or a bound demands: no cooldown, no verdict."""


def verify(situation: Situation) -> tuple[Decision | None, Memory]:
    """The roll back, if there must be one, and the memory after the verdict; until then the change is pending."""
    pending, memory = situation.memory.pending, situation.memory
    if pending is None:
        return None, memory
    if situation.fleet.restarts > pending.restarts:
        reason = Reason.OUT_OF_MEMORY if situation.fleet.out_of_memory else Reason.ROLLED_BACK
        how = "was killed for memory" if situation.fleet.out_of_memory else "restarted"
        return roll_back(situation, pending, reason, f"a container {how} since", kept_from=True)
    measured = Measured.of(situation.observation) if situation.observation else None
    if measured is None or measured.samples < situation.policy.behavior.min_samples:
        if situation.overloaded and _grew(pending):
            return None, replace(memory, pending=None)  # more of the same is needed, not less
        if situation.now < pending.deadline:
            return None, memory
        return roll_back(situation, pending, Reason.ROLLED_BACK, "no verdict before its deadline: too little telemetry")
    return _starved(situation, pending, measured) or _compared(situation, pending, measured)


def _compared(situation: Situation, pending: Pending, measured: Measured) -> tuple[Decision | None, Memory]:
    if _confounded(pending.baseline, measured) and not _too_many_errors(pending, measured):
        return _void(situation, pending, measured)
    return _judged(situation, pending, _objection(situation, pending, measured))


def _judged(situation: Situation, pending: Pending, objection: str) -> tuple[Decision | None, Memory]:
    if objection:
        return roll_back(situation, pending, Reason.ROLLED_BACK, objection)
    memory = replace(situation.memory, pending=None, last_known_good=dict(situation.values))
    if pending.reason is Reason.PROBE:
        memory = replace(memory, probing=Probing(0, situation.now + gap(situation, 0)))
    return None, memory


def _starved(situation: Situation, pending: Pending, measured: Measured) -> tuple[Decision | None, Memory] | None:
    """The verdict where fewer are answered because of a database, not because of another load; else None."""
    observation, objective = situation.observation, situation.policy.objective
    if observation is None or objective is None or measured.p95_seconds <= pending.baseline.p95_seconds:
        return None
    if pending.reason is Reason.DATABASE_SATURATED:
        rates = pending.baseline.requests_per_second, measured.requests_per_second
        objection = no_relief(observation, pending.changes, *rates)
        return _judged(situation, pending, objection) if objection else None
    name = drowning(situation, observation, objective)
    if not name:
        return None
    if endangers(situation, apply_changes(situation.values, _back(situation.values, pending))):
        # What was before is no way out, either: the law of drowned databases knows a better one.
        return None, _failed(situation, pending, replace(situation.memory, pending=None))
    before, after = format_duration(pending.baseline.p95_seconds), format_duration(measured.p95_seconds)
    return _judged(situation, pending, f"p95 {before} → {after}, and {name} drowns in its connections")


def _void(situation: Situation, pending: Pending, measured: Measured) -> tuple[Decision | None, Memory]:
    """Load or mix moved: another window may tell. In the end only what is slow under no more load goes back."""
    if pending.voids + 1 < MOST_VOIDS:
        again = replace(pending, voids=pending.voids + 1)
        return None, replace(situation.memory, pending=again)
    objective = situation.policy.objective
    met = objective is not None and measured.p95_seconds <= objective.p95.total_seconds()
    if met or measured.load > pending.baseline.load or measured.p95_seconds <= pending.baseline.p95_seconds:
        return _judged(situation, pending, "")
    before, after = format_duration(pending.baseline.p95_seconds), format_duration(measured.p95_seconds)
    return _judged(situation, pending, f"p95 {before} → {after} though the load fell")


def _grew(pending: Pending) -> bool:
    lever = pending.changes[0]
    return lever.old is not None and lever.new > lever.old


def _confounded(baseline: Measured, measured: Measured) -> bool:
    """Whether load or route mix moved so that they may be why p95 did. Faster under more of the same load is not."""
    groups = baseline.mix.keys() | measured.mix.keys()
    moved = sum(abs(baseline.mix.get(group, 0.0) - measured.mix.get(group, 0.0)) for group in groups) / 2
    if baseline.mix and moved > MIX_MOVED:
        return True
    better = measured.p95_seconds <= baseline.p95_seconds
    return not same_load(baseline.load, measured.load) and not (better and measured.load > baseline.load)


def _too_many_errors(pending: Pending, measured: Measured) -> bool:
    return measured.error_ratio > pending.baseline.error_ratio + MORE_ERRORS


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
        restarts=_restarts(situation, decision),
        tried_on=decision.tried_on,
    )
    if decision.tried_on:
        return replace(memory, pending=pending)
    return replace(memory, pending=pending, oversized={}, rejected=_outgrown(situation, memory, decision))


def _restarts(situation: Situation, decision: Decision) -> int:
    if not decision.tried_on:
        return situation.fleet.restarts
    return sum(member.restarts for member in situation.fleet.members if member.uid in decision.tried_on)


def _outgrown(situation: Situation, memory: Memory, decision: Decision) -> tuple[Rejected, ...]:
    lever = decision.changes[0]
    shrinks = lever.old is None or lever.new < lever.old
    if shrinks and decision.reason is not Reason.DATABASE_SATURATED:
        return memory.rejected
    until = situation.now + OUTGROWN_FOR * situation.policy.behavior.interval
    return (*memory.rejected, Rejected(dict(situation.values), until))[-MOST_REJECTED:]


def gap(situation: Situation, failures: int) -> timedelta:
    """Until the next probe after so many in a row that gained nothing."""
    return situation.policy.behavior.interval * min(FIRST_GAP << failures, LONGEST_GAP)


def dead_band(tolerance: float, samples: int, noise: float = 0.0) -> float:
    """By how much, as a share, p95 may rise before a change is taken back."""
    return max(LEAST_DEAD_BAND, tolerance, 3 * noise, CHANCE / sqrt(samples))


def _objection(situation: Situation, pending: Pending, measured: Measured) -> str:
    baseline = pending.baseline
    if _too_many_errors(pending, measured):
        return f"errors {baseline.error_ratio:.2%} → {measured.error_ratio:.2%}"
    if _in_vain(situation, pending, measured):
        return f"{pending.changes[0]} answers no more requests: the database is what limits"
    if meets_cheaper(situation, measured):
        return ""
    samples = min(measured.samples, baseline.samples)
    if pending.reason is Reason.PROBE:
        allowed = 1 - max(PROBE_GAIN, _uncertain(situation, samples) / 2)
    else:
        allowed = most_rise(situation, samples)
    return slower(baseline, measured, allowed)


def slower(baseline: Measured, measured: Measured, allowed: float) -> str:
    """Says by how much p95 rose, where that is more than the allowed ratio; else empty."""
    ratio = measured.p95_seconds / max(baseline.p95_seconds, 1e-6)
    if ratio <= allowed:
        return ""
    before, after = format_duration(baseline.p95_seconds), format_duration(measured.p95_seconds)
    return f"p95 {before} → {after}, ×{ratio:.2f} > {allowed:.2f}"


def most_rise(situation: Situation, samples: int) -> float:
    """The largest ratio of two p95s, the smaller window having so many samples, that takes no change back."""
    band = dead_band(situation.policy.behavior.tolerance, samples, noise_of(situation.memory))
    return min(1 + band, SURELY_WORSE * (1 + _uncertain(situation, samples)))


def _uncertain(situation: Situation, samples: int) -> float:
    return hypot(CHANCE / sqrt(samples), 2 * noise_of(situation.memory))


def _in_vain(situation: Situation, pending: Pending, measured: Measured) -> bool:
    """Whether a pool that grew by a quarter or more is still always lent and no more is answered: by Little's law each
    connection is held longer by as much as there are more of them."""
    lever, baseline = pending.changes[0], pending.baseline
    seen = situation.observation.pools.get(lever.tunable.name) if situation.observation else None
    if pending.reason is Reason.DATABASE_SATURATED:
        return False  # fewer in all, whatever one worker has
    if seen is None or lever.tunable == WORKERS or not lever.old or lever.new < VAIN_GROWTH * lever.old:
        return False
    no_more = measured.requests_per_second <= NO_MORE * baseline.requests_per_second
    return all_lent(seen, lever.new) and no_more and measured.p95_seconds >= baseline.p95_seconds / NO_MORE


def meets_cheaper(situation: Situation, measured: Measured) -> bool:
    """With `prefer: economy` a slower answer is what was wanted, as long as the objective is met."""
    objective = situation.policy.objective
    if objective is None or objective.prefer is not Prefer.ECONOMY:
        return False
    return measured.p95_seconds <= objective.p95.total_seconds()


def roll_back(
    situation: Situation, pending: Pending, reason: Reason, why: str, *, kept_from: bool = False
) -> tuple[Decision, Memory]:
    """The way back, and the memory with the values as rejected; `kept_from`: pods cannot live with so many workers."""
    judged = under_judgement(situation.values, pending)
    back = _back(judged, pending)
    until = situation.now + REJECTED_FOR * situation.policy.behavior.interval
    rejected = (*situation.memory.rejected, Rejected(dict(judged), until))[-MOST_REJECTED:]
    undone = (", ".join(map(str, back)) or "nothing left to undo") + on_trial(pending, situation.fleet.total)
    message = f"{undone}: {why} (after {pending.reason}, {_age(situation, pending)} ago)"
    ceiling = _ceiling(situation, pending) if kept_from else situation.memory.ceiling
    memory = replace(situation.memory, pending=None, rejected=rejected, ceiling=ceiling)
    if pending.reason is Reason.DATABASE_SATURATED:
        pools = (change.tunable for change in back if change.tunable.kind is Kind.POOL)
        memory = replace(memory, drowned=disproved(situation, pools, until))
    return Decision(back, reason, situation.evidence(message)), _failed(situation, pending, memory)


def _back(judged: Values, pending: Pending) -> tuple[Change, ...]:
    """What has been changed by hand since is not ours to undo."""
    return tuple(
        Change(change.tunable, change.new, change.old)
        for change in pending.changes
        if change.old is not None and judged.get(change.tunable) == change.new
    )


def _failed(situation: Situation, pending: Pending, memory: Memory) -> Memory:
    if pending.reason is not Reason.PROBE:
        return replace(memory, rollbacks=(*memory.rollbacks, situation.now)[-BREAKER_ROLLBACKS:])
    # That a probe gains nothing is what to expect, and no sign that anything is not understood.
    failures = memory.probing.failures + 1
    return replace(memory, probing=Probing(failures, situation.now + gap(situation, failures)))


def _ceiling(situation: Situation, pending: Pending) -> Ceiling | None:
    """The worker count that a container did not survive; after a change of something else only where it was memory."""
    grew = any(change.tunable == WORKERS and change.new > (change.old or 0.0) for change in pending.changes)
    if not grew and not situation.fleet.out_of_memory:
        return situation.memory.ceiling
    return Ceiling(under_judgement(situation.values, pending).get(WORKERS, 1.0), situation.fleet.template)


def under_judgement(values: Values, pending: Pending) -> Values:
    """The values that wait for their verdict: those in force, or those that some pods try."""
    return apply_changes(values, pending.changes) if pending.tried_on else values


def on_trial(pending: Pending, pods: int) -> str:
    """` on 1 of 6 pods`; empty for a change that all pods have."""
    return f" on {len(pending.tried_on)} of {pods} pods" if pending.tried_on else ""


def _age(situation: Situation, pending: Pending) -> str:
    return format_duration(max(timedelta(), situation.now - pending.since))
