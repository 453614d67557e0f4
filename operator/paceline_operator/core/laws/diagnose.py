"""Names what limits the service, in the order loop lag, throttling, pool wait, oversized pool.

Loop lag comes first: a coroutine keeps its connection until the loop resumes it, so a slow loop looks like a small
pool (a 6 ms query held its connection for 17 ms at two workers, for 4 s when saturated). Only an exhausted
pool whose holds lag does not explain goes before it.
Thresholds: docs/tuning.md. Worked example, objective p95 45 ms: loop lag is high above 5.4 ms, a pool's p99
wait above 3.6 ms.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil
from typing import Final

from paceline_operator.core.measure.observation import Observation, PoolObservation
from paceline_operator.core.model.decision import Reason
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.policy import Objective
from paceline_operator.core.model.tunables import WORKERS, Tunable, pool
from paceline_operator.core.queueing.fit import LEAST_CHECKOUTS
from paceline_operator.core.queueing.predict import Model
from paceline_operator.core.queueing.queueing import BURSTINESS, servers_needed
from paceline_operator.core.situation.experience import more_would_slow
from paceline_operator.core.situation.memory import Oversized
from paceline_operator.core.situation.situation import Situation

LAG_SHARE: Final = 0.12
"""Loop lag p95 above this share of the objective is high."""
WAIT_SHARE: Final = 0.08
"""A pool's wait p99 above this share of the objective is high."""
THROTTLED: Final = 0.12
"""Above this share of throttled periods another worker only adds throttling."""
CPU_FULL: Final = 0.85
"""From this share of the CPU limit on, another worker finds no CPU."""
LONGEST_WAIT: Final = timedelta(milliseconds=2)
LONGEST_WAIT_SHARE: Final = 0.05
"""A pool is sized for a p99 wait of at most the smaller of `LONGEST_WAIT` and this share of the objective."""
DOUBLE_ABOVE: Final = 5.0
"""Loop lag this many times its threshold, or loops that never rest, double the workers instead of adding one."""
FULL: Final = 0.95
SLACK: Final = 1.25
"""A pool larger than this times what is needed is oversized; the gap to 1 keeps growing and shrinking apart."""
OVERSIZED_WINDOWS: Final = 5
ALL_LENT: Final = 0.9
"""From this share of its connections on a pool counts as exhausted."""
LAG_IN_HOLD: Final = 0.25
"""Where loops that lag make up more of a hold than this, the hold says nothing of the database."""
LEAST_LAG_SAMPLES: Final = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One limit of the service. `severity` is the signal over its threshold, above 1."""

    reason: Reason
    tunable: Tunable | None
    severity: float
    evidence: str
    needed: float | None = None
    """The size that the signal alone asks for, where the law knows one."""


def diagnose(
    situation: Situation, observation: Observation, objective: Objective, model: Model | None = None
) -> tuple[Finding, ...]:
    """What limits the service, the bottleneck first; empty when nothing does.

    Where a model of the window exists it has compared all settings already: then only connections to give back are
    left to find, and what no setting can help.
    """
    if model is not None:
        workers = situation.values.get(WORKERS, 1.0)
        return tuple(_out_of_reach(observation, objective, workers)) or tuple(_oversized(situation))
    lag = _loop_lag(observation, objective, situation.values.get(WORKERS, 1.0))
    waits = sorted(
        _pool_waits(situation, observation, objective, measured_only=lag is not None),
        key=lambda finding: -finding.severity,
    )
    first = tuple(finding for finding in waits if exhausted_by_itself(situation, observation, finding.tunable))
    rest = tuple(finding for finding in waits if finding not in first)
    limits = first + ((lag,) if lag else ()) + rest
    return limits or tuple(_oversized(situation))


def exhausted(seen: PoolObservation, size: float) -> bool:
    """Whether a pool's connections were checked out nearly all the time."""
    return size > 0 and seen.arrivals_per_worker * (seen.hold.mean or 0.0) >= ALL_LENT * size


def exhausted_by_itself(situation: Situation, observation: Observation, tunable: Tunable | None) -> bool:
    """Whether a pool is exhausted and lag is no great part of the time that its connections are held."""
    seen, lag = observation.pools.get(tunable.name) if tunable else None, observation.loop_lag.mean
    if tunable is None or seen is None:
        return False
    explained = lag is None or lag > LAG_IN_HOLD * (seen.hold.mean or 0.0)
    return exhausted(seen, situation.values[tunable]) and not explained


def connections_needed(pool: PoolObservation, objective: Objective, share: float = 1.0) -> int | None:
    """Connections a worker needs so that p99 of the wait stays short; None with too few checkouts to tell.

    `share` scales the arrivals: with twice the workers each sees half. Worked example: 200 checkouts a second and
    worker, held 6 ms, objective 45 ms: a = 200 · 0.006 · 1.25 = 1.5 Erlang, p99 wait ≤ 2 ms → 5 connections.
    """
    hold = pool.hold.mean
    if hold is None or pool.hold.count < LEAST_CHECKOUTS:
        return None
    return servers_needed(pool.arrivals_per_worker * share * hold * BURSTINESS, hold, longest_wait_seconds(objective))


def longest_wait_seconds(objective: Objective) -> float:
    """The p99 wait that a pool is sized for."""
    return min(LONGEST_WAIT, LONGEST_WAIT_SHARE * objective.limit).total_seconds()


def count_oversized(situation: Situation, observation: Observation, objective: Objective) -> Mapping[str, Oversized]:
    """The runs of windows in which a pool was too large, this window added; a pool that fits has no run."""
    runs = {}
    for name, seen in observation.pools.items():
        size, needed = situation.values.get(pool(name)), connections_needed(seen, objective)
        if size is not None and needed is not None and size > max(SLACK * needed, needed + 1):
            before = situation.memory.oversized.get(name, Oversized(0, 0))
            runs[name] = Oversized(min(before.windows + 1, OVERSIZED_WINDOWS), max(before.needed, needed))
    return runs


def _loop_lag(observation: Observation, objective: Objective, workers: float) -> Finding | None:
    lag, high = observation.loop_lag_p95, LAG_SHARE * objective.limit.total_seconds()
    if lag is None or observation.loop_lag.count < LEAST_LAG_SAMPLES or lag <= high:
        return None
    evidence, severity = f"loop lag p95 {format_duration(lag)} > {format_duration(high)}", lag / high
    throttled, cpu = observation.throttled_ratio, observation.cpu_ratio
    if throttled is not None and throttled > THROTTLED:
        evidence += f", but {throttled:.0%} of periods throttled > {THROTTLED:.0%}: raise the CPU limit or the replicas"
        idle = observation.cpu_limit is not None and workers > ceil(observation.cpu_limit)
        return Finding(Reason.THROTTLING_HIGH, WORKERS if idle else None, lag / high, evidence)
    if cpu is not None and cpu >= CPU_FULL:
        evidence += f", but CPU at {cpu:.0%} of its limit ≥ {CPU_FULL:.0%}: raise the replicas or the CPU limit"
        return Finding(Reason.SCALE_OUT_RECOMMENDED, None, lag / high, evidence)
    busy = observation.busy(workers)
    if busy is not None and busy >= FULL:
        # More comes in than can be served: nobody knows how much more.
        evidence, severity = f"{evidence}, loops busy {busy:.0%} of the time", max(severity, 2 * DOUBLE_ABOVE)
    return Finding(Reason.LOOP_LAG_HIGH, WORKERS, severity, evidence)


def _pool_waits(
    situation: Situation, observation: Observation, objective: Objective, *, measured_only: bool
) -> Iterator[Finding]:
    high = WAIT_SHARE * objective.limit.total_seconds()
    for name, seen in observation.pools.items():
        size, needed = situation.values.get(pool(name)), connections_needed(seen, objective)
        wait = seen.wait.quantile(0.99)
        if size is None or needed is None or wait is None:
            continue
        # What seems needed counts only with waits to show for it. While loops lag it does not count at all: holds are
        # too long then, and with them the need.
        longest = longest_wait_seconds(objective)
        severity = max(wait / high, 0.0 if measured_only or wait <= longest else needed / size)
        if severity > 1:
            passed = high if wait > high else longest
            evidence = f"{name} wait p99 {format_duration(wait)} > {format_duration(passed)}, {needed} needed"
            slow = slow_database(situation, observation, name)
            if slow:
                # The need is what it is because the database is slow: more connections would make it slower.
                yield Finding(Reason.DATABASE_SATURATED, None, severity, f"{evidence}, but {slow}")
                continue
            yield Finding(Reason.POOL_WAIT_HIGH, pool(name), severity, evidence, needed)


def _out_of_reach(observation: Observation, objective: Objective, workers: float) -> Iterator[Finding]:
    """The objective is missed, and no setting within the bounds is better."""
    p95 = observation.response_seconds or 0.0
    if p95 <= objective.limit.total_seconds():
        return
    lag = _loop_lag(observation, objective, workers)
    if lag is not None and lag.reason is not Reason.LOOP_LAG_HIGH:
        yield replace(lag, tunable=None)


def slow_database(situation: Situation, observation: Observation, name: str) -> str:
    """Says how much longer connections are held than when all was well; empty where that is no longer, where loops that
    lag explain it, or where fewer connections did not help."""
    hold, lag, well = observation.pools[name].hold.mean, observation.loop_lag.mean, situation.memory.fastest.get(name)
    if hold is None or lag is None or well is None or lag > LAG_IN_HOLD * hold:
        return ""
    if not more_would_slow(situation, name, hold - lag):
        return ""
    return f"{name} is held {format_duration(hold)}, {format_duration(well)} when all was well"


def _oversized(situation: Situation) -> Iterator[Finding]:
    for name, run in situation.memory.oversized.items():
        size = situation.values.get(pool(name))
        if size is not None and run.windows >= OVERSIZED_WINDOWS:
            evidence = f"{name} needs {run.needed} for {run.windows} windows"
            yield Finding(Reason.POOL_OVERSIZED, pool(name), size / (SLACK * run.needed), evidence, run.needed)
