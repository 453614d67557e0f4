"""Judges a change by the window after it: keep it, or go back to what was. A change that a deploy met is not judged at
all: its values stay, and whatever the new pods need is decided anew from what they report.

What grew is kept for what it gained, what was given back while the objective is met (`core/verdict/gain.py`); either
goes back where errors rose. A probe is kept only if it gained 1.5 % and more than the noise. Where load or route mix
moved, another window is waited for.
"""

from dataclasses import replace
from typing import Final

from paceline_operator.core.laws.contention import NO_MORE, drowning, endangers, no_relief
from paceline_operator.core.laws.diagnose import exhausted
from paceline_operator.core.laws.swamped import serves_more
from paceline_operator.core.model.decision import Decision, Reason, apply_changes
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.policy import Prefer
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.core.situation.doubts import doubted, trusted
from paceline_operator.core.situation.memory import Measured, Memory, Pending, Probing
from paceline_operator.core.situation.room import planned_rise
from paceline_operator.core.situation.situation import Situation
from paceline_operator.core.verdict.bought import not_worth
from paceline_operator.core.verdict.collapsed import collapsed
from paceline_operator.core.verdict.compare import (
    MIX_MOVED,
    confounded,
    described,
    meets_cheaper,
    mix_moved,
    more_slow_ones,
    ratio_interval,
    slower,
    uncertain,
)
from paceline_operator.core.verdict.errors import LEAST_MORE, more_errors, without_the_worst
from paceline_operator.core.verdict.gain import Gain, gain, grown, seen_share
from paceline_operator.core.verdict.pending import awaited_anew
from paceline_operator.core.verdict.restarts import RESTARTED, blamed
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
    measured = _measured(situation, pending)
    if situation.short:
        return None, _superseded(situation, pending, measured)
    few = measured is None or measured.samples < situation.policy.behavior.min_samples
    if measured is None or few or (situation.several_loads is not None and situation.now < pending.deadline):
        return _with_little(situation, pending, measured, few=few)
    return _starved(situation, pending, measured) or _compared(situation, pending, measured)


def _measured(situation: Situation, pending: Pending) -> Measured | None:
    """The window, where it is of requests as the baseline is, or of waits as that is: else there is no verdict."""
    seen = situation.observation
    return Measured.of(seen) if seen is not None and seen.by_waits is pending.baseline.figure.by_waits else None


def _with_little(
    situation: Situation, pending: Pending, measured: Measured | None, *, few: bool
) -> tuple[Decision | None, Memory]:
    """Too `few` requests for a verdict, or none seen at all, or under several loads; only what is surely worse need not
    wait for more. What nobody could look at is not judged, whatever the time: pods were silent, or nobody was there to
    ask them. A service that has gone quiet needs nothing back."""
    memory = situation.memory
    if measured is not None and measured.interval is not None and slower(situation, pending.baseline, measured):
        starved = _starved(situation, pending, measured)
        if starved is not None:
            return starved
    worse = _surely_worse(situation, pending, measured)
    if worse:
        return roll_back(situation, pending, Reason.ROLLED_BACK, worse)
    if few and situation.overloaded and _grew(pending):
        return None, replace(memory, pending=None)  # more of the same is needed, not less
    if situation.now < pending.deadline:
        return None, memory
    if situation.observation is None:
        return None, replace(memory, pending=awaited_anew(situation, pending))
    if not grown(situation.values, pending) and _quiet(situation):
        return None, replace(memory, pending=None)
    return roll_back(situation, pending, Reason.ROLLED_BACK, "no verdict before its deadline: too little telemetry")


def _surely_worse(situation: Situation, pending: Pending, measured: Measured | None) -> str:
    """Says by how much errors rose, p95 rose above the objective, or less completes, where even so few tell."""
    objective, baseline, seen = situation.policy.objective, pending.baseline, situation.observation
    if measured is not None and _more_errors(situation, baseline, measured):
        return _errors_told(baseline, measured)
    if objective is None or seen is None or seen.by_waits is not baseline.figure.by_waits:
        return ""
    grew = bool(grown(situation.values, pending))
    more = grew and not situation.overloaded  # where loops lag, more of the same may be needed, not less
    if measured is not None and measured.interval is not None and measured.low > objective.limit.total_seconds():
        met = baseline.p95_seconds <= objective.limit.total_seconds()
        comparable = not confounded(baseline, measured) or (more and _less_was_asked(baseline, measured))
        worse = slower(situation, baseline, measured) if comparable and (met or more) else ""
        if worse and not more_slow_ones(baseline, measured, seen):
            return worse
    told = more or not (grew or pending.reason is Reason.DATABASE_SATURATED)
    return collapsed(baseline, seen, objective) if told else ""


def _less_was_asked(baseline: Measured, measured: Measured) -> bool:
    """Whether of what makes windows incomparable only the load moved, and fell: that makes nothing slower."""
    same_mix = not baseline.mix or mix_moved(baseline, measured) <= MIX_MOVED
    return same_mix and baseline.figure.counted == measured.figure.counted and measured.load < baseline.load


def _quiet(situation: Situation) -> bool:
    """Whether little is asked of the service and all of that goes well, as far as so few requests tell."""
    seen, objective = situation.observation, situation.policy.objective
    if seen is None or objective is None or seen.turned_away or any(pool.timeouts for pool in seen.pools.values()):
        return False
    limit, lag = objective.limit.total_seconds(), seen.loop_lag_p95
    few_errors = seen.errors <= max(LEAST_MORE, objective.error_ratio * seen.requests)
    return few_errors and (seen.response_seconds or 0.0) <= limit and lag is not None and lag <= limit


def _superseded(situation: Situation, pending: Pending, measured: Measured | None) -> Memory:
    """Still swamped: a step that surely serves more is kept and another one may follow; the p95 of a queue that has
    been full for seconds tells nothing. Any other step waits for a whole window."""
    more = measured is not None and serves_more(pending.baseline, measured)
    return replace(situation.memory, pending=None) if more else situation.memory


def _starved(situation: Situation, pending: Pending, measured: Measured) -> tuple[Decision | None, Memory] | None:
    """The verdict where fewer requests complete because of a database, not because of another load; else None."""
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
    objection = f"{described(pending.baseline, measured)}, and {name} drowns in its connections"
    return _judged(situation, pending, measured, objection)


def _compared(situation: Situation, pending: Pending, measured: Measured) -> tuple[Decision | None, Memory]:
    baseline = pending.baseline
    if _more_errors(situation, baseline, measured):
        return _judged(situation, pending, measured, _errors_told(baseline, measured))
    if confounded(baseline, measured) or _only_more_slow_ones(situation, baseline, measured):
        return _void(situation, pending, measured)
    if _in_vain(situation, pending, measured):
        return _judged(situation, pending, measured, _objection(situation, pending, measured))
    cheaper = pending.reason is not Reason.PROBE and not grown(situation.values, pending)
    if situation.enough or (cheaper and meets_cheaper(situation, measured)):
        return _judged(situation, pending, measured, "")
    if pending.reason is Reason.PROBE:
        return _judged(situation, pending, measured, _objection(situation, pending, measured))
    return _weighed(situation, pending, measured)


def _errors_told(baseline: Measured, measured: Measured) -> str:
    return f"errors {baseline.error_ratio:.2%} → {measured.error_ratio:.2%}"


def _more_errors(situation: Situation, baseline: Measured, measured: Measured) -> bool:
    """Whether errors rose, and not on a few pods alone, which fail for reasons of their own."""
    allowed, seen = situation.allowed_error_ratio, situation.observation
    if not more_errors(baseline, measured, allowed) or seen is None:
        return False
    usual = Measured.of(without_the_worst(seen, RESTARTED))
    return usual is None or more_errors(baseline, usual, allowed)


def _weighed(situation: Situation, pending: Pending, measured: Measured) -> tuple[Decision | None, Memory]:
    """By what it gained. That too little was seen of a promise is learnt for all sizes of what grew."""
    found, why = gain(situation, pending, measured, situation.values, last=_last(pending))
    if found is Gain.UNCLEAR:
        return None, _again(situation, pending)
    decision, memory = _judged(situation, pending, measured, why or not_worth(situation, pending, measured))
    more = grown(situation.values, pending)
    if decision is None:
        return None, trusted(memory, more)
    return decision, doubted(situation, memory, more, seen_share(pending, measured), pending.baseline.load)


def _only_more_slow_ones(situation: Situation, baseline: Measured, measured: Measured) -> bool:
    seen = situation.observation
    return seen is not None and bool(slower(situation, baseline, measured)) and more_slow_ones(baseline, measured, seen)


def _last(pending: Pending) -> bool:
    return pending.voids + 1 >= MOST_VOIDS


def _again(situation: Situation, pending: Pending) -> Memory:
    return replace(situation.memory, pending=replace(pending, voids=pending.voids + 1))


def _void(situation: Situation, pending: Pending, measured: Measured) -> tuple[Decision | None, Memory]:
    """Load or mix moved: another window may tell. In the end only what is slow under no more load goes back."""
    if not _last(pending):
        return None, _again(situation, pending)
    objective = situation.policy.objective
    baseline = pending.baseline
    met = objective is not None and measured.p95_seconds <= objective.limit.total_seconds()
    if met or measured.load > baseline.load or measured.p95_seconds <= baseline.p95_seconds:
        return _judged(situation, pending, measured, "")
    if mix_moved(baseline, measured) > MIX_MOVED or _only_more_slow_ones(situation, baseline, measured):
        return _judged(situation, pending, measured, "")
    return _judged(situation, pending, measured, f"{described(baseline, measured)} though the load fell")


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
    """Of a pool that grew in vain, or of a probe."""
    baseline = pending.baseline
    if _in_vain(situation, pending, measured):
        return f"{pending.changes[0]} serves no more requests: the database is what limits"
    little = not_worth(situation, pending, measured)
    if little:
        return little
    _, ratio, _ = ratio_interval(baseline, measured)
    allowed = 1 - max(PROBE_GAIN, uncertain(situation, min(measured.samples, baseline.samples)) / 2)
    if ratio <= allowed:
        return ""
    gained = f"{described(baseline, measured)}, ×{ratio:.2f} > {allowed:.2f}"
    return _no_room(situation, pending, measured) or gained


def _no_room(situation: Situation, pending: Pending, measured: Measured) -> str:
    """What a probe for something cheaper, which need not be faster, came to without the room; else empty."""
    objective = situation.policy.objective
    if objective is None or objective.prefer is not Prefer.COST or grown(situation.values, pending):
        return ""
    text, limit = described(pending.baseline, measured), format_duration(objective.limit)
    if not meets_cheaper(situation, measured):
        return f"{text}, above the objective of {limit}"
    return f"{text}: within the objective of {limit}, but without room for {planned_rise(situation):.2f} times the load"


def _in_vain(situation: Situation, pending: Pending, measured: Measured) -> bool:
    """Whether a pool that grew by a quarter or more is still exhausted and no more is completed: by Little's law each
    connection is held longer by as much as there are more of them."""
    lever, baseline = pending.changes[0], pending.baseline
    seen = situation.observation.pools.get(lever.tunable.name) if situation.observation else None
    if pending.reason is Reason.DATABASE_SATURATED:
        return False  # fewer in all, whatever one worker has
    if seen is None or lever.tunable == WORKERS or not lever.old or lever.new < VAIN_GROWTH * lever.old:
        return False
    no_more = measured.requests_per_second <= NO_MORE * baseline.requests_per_second
    return exhausted(seen, lever.new) and no_more and measured.p95_seconds >= baseline.p95_seconds / NO_MORE
