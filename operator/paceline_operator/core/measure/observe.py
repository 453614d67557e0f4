"""Two reports of each pod → one Observation of the fleet: deltas, merged exactly.

A pod counts only if both ends of its delta belong to one life (`started_at`) and one generation, with nothing pending.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from math import floor
from typing import Final

from paceline_operator.core.measure.agreed import Number, as_most_say, limit_of_most, of_most
from paceline_operator.core.measure.histogram import CounterReset, Histogram, merge
from paceline_operator.core.measure.observation import CacheObservation, Observation, PodFigures, PoolObservation
from paceline_operator.core.measure.pods import (
    CacheCounters,
    Cpu,
    Lookups,
    PodMemory,
    PodState,
    PoolCounters,
    RequestCounters,
    added,
)
from paceline_operator.core.measure.responses import Responses, merged, responses_of, worst
from paceline_operator.core.model.objectives import P95, matches
from paceline_operator.core.model.policy import Objective
from paceline_operator.core.model.tunables import NOTHING, WORKERS, Tunable

MEMORY_SHARE: Final = 0.9
"""Pods add workers while memory stays below this share of its limit; the runtime's own rule."""
NO_REQUESTS: Final = RequestCounters(0, 0, Histogram())
LEAST_PODS_FOR_SKEW: Final = 4
OTHER: Final = "other"
"""Where a pod adds up the requests of routes that it does not name."""
SKEWED: Final = 2.0
"""A pod whose p95 is above this times the median one is skewed."""
MOST_SKEWED: Final = 0.25
"""Where more than this share of the pods differs from the others, that is how the service is."""


@dataclass(frozen=True, slots=True)
class PodWindow:
    """One pod's window: its report at either end."""

    before: PodState
    after: PodState

    @property
    def seconds(self) -> float:
        """Of the pod's own clock; wall clocks of different machines are never compared."""
        return self.after.uptime_seconds - self.before.uptime_seconds


def comparable(before: PodState, after: PodState) -> bool:
    """Whether the delta of two reports means anything."""
    return (
        before.epoch == after.epoch
        and not before.pending
        and not after.pending
        and after.uptime_seconds > before.uptime_seconds
    )


def observe(windows: Iterable[PodWindow], objective: Objective | None = None) -> Observation | None:
    """Merges what pods did in their windows; None when no pod counts. A pod whose counters went back is left out."""
    deltas = []
    for window in windows:
        if comparable(window.before, window.after):
            try:
                deltas.append(_delta(window, objective))
            except CounterReset:
                continue
    kept = _without_the_slow(deltas)
    return replace(_merged(kept), left_out=len(deltas) - len(kept)) if deltas else None


@dataclass(frozen=True, slots=True)
class _PodDelta:
    uid: str
    seconds: float
    workers: float
    requests: int
    errors: int
    routes: Mapping[str, int]
    duration: Histogram
    responses: tuple[Responses, ...]
    loop_lag: Histogram
    pools: Mapping[str, PoolCounters]
    queues: Mapping[Tunable, PoolCounters]
    cpu: Cpu
    caches: Mapping[str, CacheCounters]
    memory: PodMemory
    turned_away: int


def _delta(window: PodWindow, objective: Objective | None) -> _PodDelta:
    before, after = window.before, window.after
    _check_groups(before.requests.keys(), after.requests.keys(), objective.named if objective else ())
    about = {group: objective.target_of(group) if objective else 0 for group in after.requests}
    counted = {group: now for group, now in after.requests.items() if about[group] is not None}
    routes = [(now, before.requests.get(group, NO_REQUESTS)) for group, now in counted.items()]
    durations = {group: now.duration.since(old.duration) for group, (now, old) in zip(counted, routes, strict=True)}
    increases = [_increase(now.count, old.count) for now, old in routes]
    return _PodDelta(
        uid=after.uid,
        seconds=window.seconds,
        workers=after.values.get(WORKERS, 1),
        requests=sum(increases),
        routes=dict(zip(counted, increases, strict=True)),
        errors=sum(_increase(now.errors, old.errors) for now, old in routes),
        duration=merge(durations.values()),
        responses=_responses(durations, about, objective),
        loop_lag=after.loop_lag.since(before.loop_lag),
        pools={name: _pool_delta(now, before.pools.get(name)) for name, now in after.pools.items()},
        queues={each: _pool_delta(now, before.queues.get(each)) for each, now in after.queues.items()},
        cpu=_cpu_delta(before.cpu, after.cpu),
        caches={name: _cache_delta(now, before.caches.get(name)) for name, now in after.caches.items()},
        memory=after.memory,
        turned_away=_increase(after.turned_away, before.turned_away),
    )


def _responses(
    durations: Mapping[str, Histogram], about: Mapping[str, int | None], objective: Objective | None
) -> tuple[Responses, ...]:
    if objective is None or (objective.quantile == P95 and not objective.routes):
        return ()  # all of them, at p95
    targets = objective.targets
    found = [
        merge(duration for group, duration in durations.items() if about[group] == number)
        for number in range(len(targets))
    ]
    return responses_of(targets, found)


def _check_groups(before: AbstractSet[str], after: AbstractSet[str], asked: Sequence[str]) -> None:
    """Raises CounterReset where a route moved into or out of the pod's `other`: `routes` has changed."""
    moved = before - after | {group for group in after - before if any(matches(name, group) for name in asked)}
    if moved and OTHER in before:
        raise CounterReset(f"counted apart at one end of the window only: {', '.join(sorted(moved))}")


def _increase(now: Number, before: Number) -> Number:
    if now < before:
        raise CounterReset(f"a counter went from {before} to {now}")
    return now - before


def _pool_delta(now: PoolCounters, before: PoolCounters | None) -> PoolCounters:
    if before is None:
        return now
    return PoolCounters(
        now.limit,
        now.cap,
        _increase(now.timeouts, before.timeouts),
        now.wait.since(before.wait),
        now.hold.since(before.hold),
    )


def _cache_delta(now: CacheCounters, before: CacheCounters | None) -> CacheCounters:
    if before is None:
        return now
    return CacheCounters(
        now.ttl_seconds,
        _more_lookups(now.lookups, before.lookups),
        now.fetch.since(before.fetch),
        {ttl: _more_lookups(ghost, before.ghosts[ttl]) for ttl, ghost in now.ghosts.items() if ttl in before.ghosts},
    )


def _more_lookups(now: Lookups, before: Lookups) -> Lookups:
    return Lookups(_increase(now.hits, before.hits), _increase(now.misses, before.misses))


def _cpu_delta(before: Cpu, after: Cpu) -> Cpu:
    return Cpu(
        after.limit,
        _increase(after.usage_seconds, before.usage_seconds),
        _increase(after.periods, before.periods),
        _increase(after.throttled_periods, before.throttled_periods),
        after.cores,
    )


def _merged(deltas: list[_PodDelta]) -> Observation:
    pools, queues = as_most_say([each.pools for each in deltas], [each.queues for each in deltas])
    limit = limit_of_most(each.cpu.limit for each in deltas)
    return Observation(
        pods=len(deltas),
        window_seconds=max(delta.seconds for delta in deltas),
        requests=sum(delta.requests for delta in deltas),
        errors=sum(delta.errors for delta in deltas),
        requests_per_second=sum(delta.requests / delta.seconds for delta in deltas),
        duration=merge(delta.duration for delta in deltas),
        loop_lag=merge(delta.loop_lag for delta in deltas),
        pools={name: _merged_pool([(d, d.pools[name]) for d in deltas if name in d.pools]) for name in pools},
        queues={each: _merged_queue(deltas, each) for each in queues},
        cpu_ratio=_cpu_ratio(deltas) if limit else None,
        throttled_ratio=_throttled_ratio(deltas),
        caches=_merged_caches([delta.caches for delta in deltas]),
        cpu_seconds=sum(delta.cpu.usage_seconds for delta in deltas),
        cpu_limit=limit,
        cores=of_most(delta.cpu.cores for delta in deltas if delta.cpu.cores),
        most_workers=_most_workers(deltas),
        mix=_mix(deltas),
        responses=merged(delta.responses for delta in deltas),
        turned_away=sum(delta.turned_away for delta in deltas),
        each={delta.uid: _figures(delta) for delta in deltas if delta.uid},
    )


def _figures(delta: _PodDelta) -> PodFigures:
    return PodFigures(delta.requests, delta.errors, delta.requests / delta.seconds, delta.duration, delta.responses)


def _merged_queue(deltas: list[_PodDelta], tunable: Tunable) -> PoolObservation:
    """A pod's workers share it: as if there were one of them."""
    shared = ((replace(delta, workers=1), delta.queues.get(tunable)) for delta in deltas)
    return _merged_pool([(delta, counters) for delta, counters in shared if counters is not None])


def _merged_pool(found: list[tuple[_PodDelta, PoolCounters]]) -> PoolObservation:
    checkouts = sum(max(pool.hold.count, pool.wait.count) for _, pool in found)
    worker_seconds = sum(delta.seconds * delta.workers for delta, _ in found)
    return PoolObservation(
        limit=max(pool.limit for _, pool in found),
        cap=of_most(pool.cap for _, pool in found) or 0,
        wait=merge(pool.wait for _, pool in found),
        hold=merge(pool.hold for _, pool in found),
        timeouts=sum(pool.timeouts for _, pool in found),
        arrivals_per_worker=checkouts / worker_seconds,
    )


def _merged_caches(found: list[Mapping[str, CacheCounters]]) -> Mapping[str, CacheObservation]:
    names = sorted({name for caches in found for name in caches})
    return {name: _merged_cache([caches[name] for caches in found if name in caches]) for name in names}


def _merged_cache(found: list[CacheCounters]) -> CacheObservation:
    # A TTL counts only if all pods have looked at it.
    ttls = set.intersection(*(set(cache.ghosts) for cache in found))
    ghosts = {ttl: added(cache.ghosts[ttl] for cache in found) for ttl in sorted(ttls)}
    live = added(cache.lookups for cache in found)
    return CacheObservation(
        lookups=live.hits + live.misses,
        hit_ratio=_hit_ratio(live),
        ghosts={ttl: ratio for ttl, ghost in ghosts.items() if (ratio := _hit_ratio(ghost)) is not None},
        ghost_lookups=max((ghost.hits + ghost.misses for ghost in ghosts.values()), default=0),
    )


def _hit_ratio(lookups: Lookups) -> float | None:
    total = lookups.hits + lookups.misses
    return lookups.hits / total if total else None


def _most_workers(deltas: list[_PodDelta]) -> int | None:
    room = of_most(
        delta.workers + (MEMORY_SHARE * memory.limit_bytes - memory.used_bytes) / memory.per_worker_bytes
        for delta in deltas
        if (memory := delta.memory).limit_bytes and memory.per_worker_bytes
    )
    return None if room is None else max(1, floor(room))


def _without_the_slow(deltas: list[_PodDelta]) -> list[_PodDelta]:
    """Leaves out single pods whose p95 is more than twice the median one: no common value would mend them."""
    p95s = {id(delta): found.lowered(0.0) for delta in deltas if (found := _slowest(delta)) is not None}
    if len(p95s) < LEAST_PODS_FOR_SKEW:
        return deltas
    limit = SKEWED * sorted(p95s.values())[len(p95s) // 2]
    kept = [delta for delta in deltas if p95s.get(id(delta), 0.0) <= limit]
    return kept if len(kept) >= (1 - MOST_SKEWED) * len(deltas) else deltas


def _slowest(delta: _PodDelta) -> Responses | None:
    return worst(delta.responses or (Responses(delta.duration),))


def _mix(deltas: list[_PodDelta]) -> Mapping[str, float]:
    counts: Counter[str] = Counter()
    for delta in deltas:
        counts.update(delta.routes)
    total = sum(counts.values())
    return {group: count / total for group, count in sorted(counts.items())} if total else NOTHING


def _cpu_ratio(deltas: list[_PodDelta]) -> float | None:
    limited = [(delta.cpu.usage_seconds, delta.cpu.limit * delta.seconds) for delta in deltas if delta.cpu.limit]
    return sum(used for used, _ in limited) / sum(granted for _, granted in limited) if limited else None


def _throttled_ratio(deltas: list[_PodDelta]) -> float | None:
    limited = [delta.cpu for delta in deltas if delta.cpu.limit and delta.cpu.periods]
    return sum(cpu.throttled_periods for cpu in limited) / sum(cpu.periods for cpu in limited) if limited else None
