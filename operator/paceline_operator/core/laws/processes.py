"""How many processes a pool of CPU work needs, and how many of them the pod has CPU and memory for.

| calls | size |
| --- | --- |
| wait: p95 of it is above 8 % of the objective | the fewest with which it is not (Erlang C), while there is room |
| needed fewer in five windows, the objective met | what they need in the busiest minute of the last hour |

There is room for a process while the pod has a core for it: the smaller of `cpu.limit` and `cpu.cores`, without what
the rest of the pod uses. And while it has memory for it; how much one takes is not measured, so as much as a worker.

Worked example: 4 cores, of which workers use 0.6; 20 calls a second of 100 ms are 2 Erlang, with bursts 2.5, and need
6 processes for an objective of 400 ms. ⌊4 − 0.6⌋ = 3 is what there is CPU for.
"""

from collections.abc import Iterator, Mapping
from math import floor, inf
from typing import Final

from paceline_operator.core.laws.diagnose import CPU_FULL, OVERSIZED_WINDOWS, THROTTLED, WAIT_SHARE, Finding
from paceline_operator.core.measure.observation import Observation, PoolObservation
from paceline_operator.core.model.decision import Reason
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.policy import Objective
from paceline_operator.core.model.tunables import WORKERS, Tunable
from paceline_operator.core.queueing.fit import LEAST_CHECKOUTS
from paceline_operator.core.queueing.queueing import BURSTINESS, servers_needed
from paceline_operator.core.situation.memory import Oversized
from paceline_operator.core.situation.room import planned_rise
from paceline_operator.core.situation.situation import Situation

Q: Final = 0.95
"""The quantile of the wait that counts: that of the objective."""


def findings(situation: Situation, observation: Observation, objective: Objective) -> Iterator[Finding]:
    """Pools that calls wait for, then those with processes to give back."""
    named = {each: seen for each, seen in observation.queues.items() if each in situation.policy.tunables}
    for tunable, seen in named.items():
        yield from _waits(situation, observation, objective, tunable, seen)
    for tunable in named:
        size, run = situation.values.get(tunable), situation.memory.oversized.get(str(tunable))
        if size is not None and run is not None and run.windows >= OVERSIZED_WINDOWS and size > run.needed:
            evidence = f"{tunable} needs {run.needed} processes for {run.windows} windows"
            yield Finding(Reason.POOL_OVERSIZED, tunable, size / run.needed, evidence, run.needed)


def count_oversized(situation: Situation, observation: Observation, objective: Objective) -> Mapping[str, Oversized]:
    """The runs of windows in which a pool had processes to give back, this window added."""
    runs: dict[str, Oversized] = {}
    rise = planned_rise(situation)
    if _missed(observation, objective):
        return runs
    for tunable, seen in observation.queues.items():
        size, needed = situation.values.get(tunable), _needed(seen, objective, rise)
        if size is not None and size > needed and not _waited_for(seen, objective):
            before = situation.memory.oversized.get(str(tunable), Oversized(0, 0))
            runs[str(tunable)] = Oversized(min(before.windows + 1, OVERSIZED_WINDOWS), max(before.needed, needed))
    return runs


def affordable(situation: Situation, observation: Observation, seen: PoolObservation, size: float) -> float:
    """The most processes that the pod has CPU and memory for; `size` where that cannot be told."""
    cores = _cores(observation)
    if cores is None or not observation.cpu_seconds:
        return size
    used = observation.cpu_seconds / (observation.window_seconds * observation.pods)
    if used >= CPU_FULL * cores or (observation.throttled_ratio or 0.0) > THROTTLED:
        return size
    room = observation.most_workers
    fits = inf if room is None else size + max(0.0, room - situation.values.get(WORKERS, 1.0))
    return min(float(seen.cap), fits, floor(cores - max(0.0, used - _running(seen))))


def _waits(
    situation: Situation, observation: Observation, objective: Objective, tunable: Tunable, seen: PoolObservation
) -> Iterator[Finding]:
    size, wait, high = situation.values.get(tunable), seen.wait.quantile(Q), _longest_wait(objective)
    if situation.enough or size is None or wait is None or wait <= high or seen.hold.count < LEAST_CHECKOUTS:
        return
    needed, most = max(size + 1, _needed(seen, objective)), affordable(situation, observation, seen, size)
    evidence = f"{tunable} wait p95 {format_duration(wait)} > {format_duration(high)}, {needed:g} processes needed"
    if most > size:
        yield Finding(Reason.POOL_WAIT_HIGH, tunable, wait / high, evidence, min(needed, most))
    elif _missed(observation, objective):
        evidence += ", but a pod has no CPU or memory left for one more: raise the replicas or its limits"
        yield Finding(Reason.SCALE_OUT_RECOMMENDED, None, wait / high, evidence)


def _needed(seen: PoolObservation, objective: Objective, rise: float = 1.0) -> int:
    hold = seen.hold.mean or 0.0
    return servers_needed(_running(seen) * rise * BURSTINESS, hold, _longest_wait(objective), Q)


def _running(seen: PoolObservation) -> float:
    """Processes of a pod that compute, on average."""
    return seen.arrivals_per_worker * (seen.hold.mean or 0.0)


def _waited_for(seen: PoolObservation, objective: Objective) -> bool:
    return (seen.wait.quantile(Q) or 0.0) > _longest_wait(objective)


def _longest_wait(objective: Objective) -> float:
    return WAIT_SHARE * objective.limit.total_seconds()


def _missed(observation: Observation, objective: Objective) -> bool:
    return (observation.response_seconds or 0.0) > objective.limit.total_seconds()


def _cores(observation: Observation) -> float | None:
    """That a pod may use; None where it says neither."""
    found = [cores for cores in (observation.cpu_limit, observation.cores) if cores]
    return min(found, default=None)
