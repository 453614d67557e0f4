"""Judges a change by the window after it: keep it, or go back to what was. A change that a deploy met is not judged at
all: its values stay, and whatever the new pods need is decided anew from what they report.

Kept unless p95 rose beyond the dead band (`core/verdict/compare.py`) or errors rose. A probe is kept only if it gained
1.5 % and more than the noise. Where load or route mix moved, another window is waited for.
"""

from dataclasses import replace
from typing import Final

from paceline_operator.core.laws.contention import NO_MORE, drowning, endangers, no_relief
from paceline_operator.core.laws.diagnose import all_lent
from paceline_operator.core.model.decision import Decision, Reason, apply_changes
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.core.situation.memory import Measured, Memory, Pending, Probing
from paceline_operator.core.situation.situation import Situation
from paceline_operator.core.verdict.bought import not_worth
from paceline_operator.core.verdict.compare import confounded, most_rise, slower, uncertain
from paceline_operator.core.verdict.errors import more_errors
from paceline_operator.core.verdict.restarts import blamed
from paceline_operator.core.verdict.rollback import deployed_since, failed, gap, roll_back, way_back

PROBE_GAIN: Final = 0.015
MUCH: Final = 0.05
"""A probe that gained less is kept, and the next one comes later nevertheless."""
MOST_VOIDS: Final = 2
VAIN_GROWTH: Final = 1.25


def verify(situation: Situation) -> tuple[Decision | None, Memory]:
    """The roll back, if there must be one, and the memory after the verdict; until then the change is pending."""
    pending, memory = situation.memory.pending, situation.memory
    if pending is None:
        return None, memory
    if deployed_since(situation, pending):
        return None, replace(memory, pending=None)
    broken = blamed(situation, pending)
    if broken:
        return roll_back(situation, pending, *broken, kept_from=True)
    measured = Measured.of(situation.observation) if situation.observation else None
    if measured is None or measured.samples < situation.policy.behavior.min_samples:
        if situation.overloaded and _grew(pending):
            return None, replace(memory, pending=None)  # more of the same is needed, not less
        if situation.now < pending.deadline:
            return None, memory
        return roll_back(situation, pending, Reason.ROLLED_BACK, "no verdict before its deadline: too little telemetry")
    return _starved(situation, pending, measured) or _compared(situation, pending, measured)


def _starved(situation: Situation, pending: Pending, measured: Measured) -> tuple[Decision | None, Memory] | None:
    """The verdict where fewer are answered because of a database, not because of another load; else None."""
    observation, objective = situation.observation, situation.policy.objective
    if observation is None or objective is None or measured.p95_seconds <= pending.baseline.p95_seconds:
        return None
    if pending.reason is Reason.DATABASE_SATURATED:
        rates = pending.baseline.requests_per_second, measured.requests_per_second
        objection = no_relief(observation, pending.changes, *rates)
        return _judged(situation, pending, measured, objection) if objection else None
    name = drowning(situation, observation, objective)
    if not name:
        return None
    if endangers(situation, apply_changes(situation.values, way_back(situation.values, pending))):
        # What was before is no way out, either: the law of drowned databases knows a better one.
        return None, failed(situation, pending, replace(situation.memory, pending=None))
    before, after = format_duration(pending.baseline.p95_seconds), format_duration(measured.p95_seconds)
    return _judged(situation, pending, measured, f"p95 {before} → {after}, and {name} drowns in its connections")


def _compared(situation: Situation, pending: Pending, measured: Measured) -> tuple[Decision | None, Memory]:
    failing = more_errors(pending.baseline, measured, situation.allowed_error_ratio)
    if confounded(pending.baseline, measured) and not failing:
        return _void(situation, pending, measured)
    return _judged(situation, pending, measured, _objection(situation, pending, measured))


def _void(situation: Situation, pending: Pending, measured: Measured) -> tuple[Decision | None, Memory]:
    """Load or mix moved: another window may tell. In the end only what is slow under no more load goes back."""
    if pending.voids + 1 < MOST_VOIDS:
        again = replace(pending, voids=pending.voids + 1)
        return None, replace(situation.memory, pending=again)
    objective = situation.policy.objective
    met = objective is not None and measured.p95_seconds <= objective.p95.total_seconds()
    if met or measured.load > pending.baseline.load or measured.p95_seconds <= pending.baseline.p95_seconds:
        return _judged(situation, pending, measured, "")
    before, after = format_duration(pending.baseline.p95_seconds), format_duration(measured.p95_seconds)
    return _judged(situation, pending, measured, f"p95 {before} → {after} though the load fell")


def _grew(pending: Pending) -> bool:
    lever = pending.changes[0]
    return lever.old is not None and lever.new > lever.old


def _judged(
    situation: Situation, pending: Pending, measured: Measured, objection: str
) -> tuple[Decision | None, Memory]:
    if objection:
        decision, memory = roll_back(situation, pending, Reason.ROLLED_BACK, objection)
        if pending.reason is not Reason.PROBE and objection == not_worth(situation, pending, measured):
            memory = replace(memory, rollbacks=situation.memory.rollbacks)  # to look for speed is no mistake
        return decision, memory
    memory = replace(situation.memory, pending=None, last_known_good=dict(situation.values))
    if pending.reason is Reason.PROBE:
        memory = replace(memory, probing=_after_gain(situation, pending, measured))
    return None, memory


def _after_gain(situation: Situation, pending: Pending, measured: Measured) -> Probing:
    """Where much was gained more may be near; where it was little, as good as nothing is left to find."""
    much = situation.enough or measured.p95_seconds <= (1 - MUCH) * pending.baseline.p95_seconds
    failures = 0 if much else situation.memory.probing.failures + 1
    return Probing(failures, situation.now + gap(situation, failures))


def _objection(situation: Situation, pending: Pending, measured: Measured) -> str:
    baseline = pending.baseline
    if more_errors(baseline, measured, situation.allowed_error_ratio):
        return f"errors {baseline.error_ratio:.2%} → {measured.error_ratio:.2%}"
    if _in_vain(situation, pending, measured):
        return f"{pending.changes[0]} answers no more requests: the database is what limits"
    if situation.enough:
        return ""
    little = not_worth(situation, pending, measured)
    if little:
        return little
    samples = min(measured.samples, baseline.samples)
    if pending.reason is Reason.PROBE:
        allowed = 1 - max(PROBE_GAIN, uncertain(situation, samples) / 2)
    else:
        allowed = most_rise(situation, samples)
    return slower(baseline, measured, allowed)


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
