"""Two reports of each pod → one Observation of the fleet: deltas, merged exactly.

A pod counts only if both ends of its delta belong to one life (`started_at`) and one generation, with nothing pending.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from paceline_operator.core.histogram import CounterReset, Histogram, merge
from paceline_operator.core.model import NOTHING, WORKERS
from paceline_operator.core.pods import Cpu, PodState, PoolCounters, RequestCounters


@dataclass(frozen=True, slots=True)
class PoolObservation:
    """One pool over the window, all pods and workers together."""

    limit: int
    cap: int
    wait: Histogram
    hold: Histogram
    timeouts: int
    arrivals_per_worker: float
    """Checkouts a second and worker, the mean of the fleet."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the fleet reported for one window, merged. What nobody reported is None or empty, never zero."""

    pods: int
    window_seconds: float
    requests: int
    errors: int
    requests_per_second: float
    duration: Histogram
    loop_lag: Histogram
    pools: Mapping[str, PoolObservation] = field(default_factory=lambda: NOTHING)
    cpu_ratio: float | None = None
    throttled_ratio: float | None = None

    @property
    def p95(self) -> float | None:
        """Seconds."""
        return self.duration.quantile(0.95)

    @property
    def loop_lag_p95(self) -> float | None:
        """Seconds."""
        return self.loop_lag.quantile(0.95)

    @property
    def error_ratio(self) -> float:
        return self.errors / self.requests if self.requests else 0.0


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


def observe(windows: Iterable[PodWindow], excluded_routes: frozenset[str] = frozenset()) -> Observation | None:
    """Merges what pods did in their windows; None when no pod counts. A pod whose counters went back is left out."""
    deltas = []
    for window in windows:
        if comparable(window.before, window.after):
            try:
                deltas.append(_delta(window, excluded_routes))
            except CounterReset:
                continue
    return _merged(deltas) if deltas else None


@dataclass(frozen=True, slots=True)
class _PodDelta:
    seconds: float
    workers: float
    requests: int
    errors: int
    duration: Histogram
    loop_lag: Histogram
    pools: Mapping[str, PoolCounters]
    cpu: Cpu


def _delta(window: PodWindow, excluded: frozenset[str]) -> _PodDelta:
    before, after = window.before, window.after
    routes = [
        (now, before.requests.get(group, RequestCounters(0, 0, Histogram())))
        for group, now in after.requests.items()
        if group not in excluded
    ]
    return _PodDelta(
        seconds=window.seconds,
        workers=after.values.get(WORKERS, 1),
        requests=sum(_increase(now.count, old.count) for now, old in routes),
        errors=sum(_increase(now.errors, old.errors) for now, old in routes),
        duration=merge(now.duration.since(old.duration) for now, old in routes),
        loop_lag=after.loop_lag.since(before.loop_lag),
        pools={name: _pool_delta(now, before.pools.get(name)) for name, now in after.pools.items()},
        cpu=_cpu_delta(before.cpu, after.cpu),
    )


def _increase(now: int, before: int) -> int:
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


def _cpu_delta(before: Cpu, after: Cpu) -> Cpu:
    return Cpu(
        after.limit,
        after.usage_seconds - before.usage_seconds,
        _increase(after.periods, before.periods),
        _increase(after.throttled_periods, before.throttled_periods),
    )


def _merged(deltas: list[_PodDelta]) -> Observation:
    names = {name for delta in deltas for name in delta.pools}
    return Observation(
        pods=len(deltas),
        window_seconds=max(delta.seconds for delta in deltas),
        requests=sum(delta.requests for delta in deltas),
        errors=sum(delta.errors for delta in deltas),
        requests_per_second=sum(delta.requests / delta.seconds for delta in deltas),
        duration=merge(delta.duration for delta in deltas),
        loop_lag=merge(delta.loop_lag for delta in deltas),
        pools={name: _merged_pool([(d, d.pools[name]) for d in deltas if name in d.pools]) for name in sorted(names)},
        cpu_ratio=_cpu_ratio(deltas),
        throttled_ratio=_throttled_ratio(deltas),
    )


def _merged_pool(found: list[tuple[_PodDelta, PoolCounters]]) -> PoolObservation:
    checkouts = sum(max(pool.hold.count, pool.wait.count) for _, pool in found)
    worker_seconds = sum(delta.seconds * delta.workers for delta, _ in found)
    return PoolObservation(
        limit=max(pool.limit for _, pool in found),
        cap=min(pool.cap for _, pool in found),
        wait=merge(pool.wait for _, pool in found),
        hold=merge(pool.hold for _, pool in found),
        timeouts=sum(pool.timeouts for _, pool in found),
        arrivals_per_worker=checkouts / worker_seconds,
    )


def _cpu_ratio(deltas: list[_PodDelta]) -> float | None:
    limited = [(delta.cpu.usage_seconds, delta.cpu.limit * delta.seconds) for delta in deltas if delta.cpu.limit]
    return sum(used for used, _ in limited) / sum(granted for _, granted in limited) if limited else None


def _throttled_ratio(deltas: list[_PodDelta]) -> float | None:
    limited = [delta.cpu for delta in deltas if delta.cpu.limit and delta.cpu.periods]
    return sum(cpu.throttled_periods for cpu in limited) / sum(cpu.periods for cpu in limited) if limited else None
