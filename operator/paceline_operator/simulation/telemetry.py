"""What the pods of a simulated interval report: two `/state` reports a pod, as the operator would have scraped them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import floor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paceline_operator.core.measure.histogram import Histogram
from paceline_operator.core.measure.observe import PodWindow
from paceline_operator.core.measure.pods import (
    CacheCounters,
    Cpu,
    Lookups,
    PodMemory,
    PodState,
    PoolCounters,
    RequestCounters,
)
from paceline_operator.core.model.tunables import WORKERS, Values
from paceline_operator.simulation.conditions import Conditions
from paceline_operator.simulation.physics import Tuned, misses, most_workers
from paceline_operator.simulation.records import (
    BUCKETS,
    DURATION,
    GROUPS,
    HOLD,
    LAG,
    LOWEST,
    ORDINARY,
    PERIOD,
    SCALE,
    SLOW,
    SLOW_DURATION,
    WAIT,
    Played,
)
from paceline_operator.simulation.scenario import Scenario

CAP: Final = 10_000
NONE: Final = Lookups(0, 0)
SAMPLED: Final = 1 / 64
"""Share of the keys that ghost TTLs are counted on."""


@dataclass(frozen=True, slots=True)
class Distortion:
    """What happens to telemetry on its way. `noise` is the standard deviation of the logarithm of each signal."""

    lost: float = 0.0
    frozen: float = 0.0
    noise: float = 0.0
    restarted: int = 0


def distortion_at(scenario: Scenario, interval: int) -> Distortion:
    """What the scenario's faults do to telemetry in the interval."""
    loss, frozen = scenario.active("telemetry-loss", interval), scenario.active("telemetry-frozen", interval)
    noise, restarts = scenario.active("telemetry-noise", interval), scenario.active("restarts", interval)
    return Distortion(
        loss.share if loss else 0.0,
        frozen.share if frozen else 0.0,
        noise.ratio if noise else 0.0,
        restarts.pods if restarts else 0,
    )


def report(
    scenario: Scenario,
    conditions: Conditions,
    tuned: Tuned,
    values: Values,
    played: Played,
    *,
    interval: int,
    generation: int,
    distortion: Distortion,
    rng: np.random.Generator,
) -> tuple[PodWindow, ...]:
    """The windows of the pods whose reports arrive. A frozen pod repeats itself, and so has no window that counts."""
    factors = np.exp(distortion.noise * rng.normal(size=4))
    caches = _caches(scenario, conditions, tuned, values)
    windows = []
    for pod in range(len(played.pods)):
        # A pod whose container was started again counts from there: it has no whole window.
        if rng.random() < distortion.lost or pod < distortion.restarted:
            continue
        after = _state(scenario, conditions, tuned, values, played, pod, factors, caches)
        after = replace(after, uptime_seconds=1000 + (interval + 1) * scenario.interval, generation=generation)
        before = _before(after, played.seconds)
        windows.append(
            PodWindow(after, after) if pod < distortion.frozen * len(played.pods) else PodWindow(before, after)
        )
    return tuple(windows)


def _before(after: PodState, seconds: float) -> PodState:
    """The same pod at the start of the window: nothing counted yet."""
    return PodState(
        started_at=after.started_at,
        uptime_seconds=after.uptime_seconds - seconds,
        generation=after.generation,
        values=after.values,
        caches={
            name: CacheCounters(cache.ttl_seconds, NONE, Histogram(), dict.fromkeys(cache.ghosts, NONE))
            for name, cache in after.caches.items()
        },
    )


def _state(
    scenario: Scenario,
    conditions: Conditions,
    tuned: Tuned,
    values: Values,
    played: Played,
    pod: int,
    factors: NDArray[np.float64],
    caches: Mapping[str, CacheCounters],
) -> PodState:
    row = played.pods[pod]
    duration, lag, wait, hold = (_histogram(row, which, float(factors[which])) for which in (DURATION, LAG, WAIT, HOLD))
    workers = min(int(values.get(WORKERS, 1)), most_workers(scenario))
    pools = {}
    if tuned.pool is not None:
        pools[tuned.pool.name] = PoolCounters(int(values[tuned.pool]), CAP, 0, wait, hold)
    fleet = scenario.fleet
    return PodState(
        started_at="2026-01-01T00:00:00Z",
        uptime_seconds=0.0,
        generation=0,
        values=values,
        requests=_requests(scenario, row, duration, float(factors[DURATION])),
        loop_lag=lag,
        pools=pools,
        caches=caches,
        cpu=Cpu(
            fleet.cpuLimit,
            float(row["cpu_seconds"]),
            round(played.seconds / PERIOD) if fleet.cpuLimit else 0,
            int(row["throttled"]),
            fleet.cores,
        ),
        memory=PodMemory(
            int(fleet.memoryLimit), int(fleet.memoryBase + workers * fleet.memoryPerWorker), int(fleet.memoryPerWorker)
        ),
    )


def _requests(scenario: Scenario, row: np.void, duration: Histogram, factor: float) -> Mapping[str, RequestCounters]:
    slow = int(row["slow_requests"])
    ordinary = RequestCounters(int(row["requests"]) - slow, 0, duration)
    if not scenario.service.slowRoute.share:
        return {GROUPS[ORDINARY]: ordinary}
    return {
        GROUPS[ORDINARY]: ordinary,
        GROUPS[SLOW]: RequestCounters(slow, 0, _histogram(row, SLOW_DURATION, factor)),
    }


def _histogram(row: np.void, which: int, factor: float) -> Histogram:
    counts = row["histograms"][which]
    shift = np.log2(factor) * 2**SCALE
    scaled = _shifted(counts[:BUCKETS], float(shift)) if shift else counts[:BUCKETS]
    buckets = {int(index) + LOWEST: int(scaled[index]) for index in np.nonzero(scaled)[0]}
    return Histogram(SCALE, int(counts[BUCKETS]), buckets, float(row["sums"][which]) * factor)


def _shifted(counts: NDArray[np.int64], shift: float) -> NDArray[np.int64]:
    """All values times 2^(shift/16): whole buckets, and a share of each count one further. The total stays."""
    whole, part = floor(shift), shift - floor(shift)
    further = np.floor(counts * part).astype(np.int64)
    moved: NDArray[np.int64] = np.roll(counts - further, whole) + np.roll(further, whole + 1)
    return moved


def _caches(scenario: Scenario, conditions: Conditions, tuned: Tuned, values: Values) -> Mapping[str, CacheCounters]:
    """One pod's lookups over the interval, and what a ladder of other TTLs would have given on the sampled keys."""
    service = scenario.service
    if tuned.cache is None or not service.cacheableShare:
        return {}
    ttl = values[tuned.cache]
    lookups = conditions.requests_per_second * service.cacheableShare * scenario.interval / conditions.serving

    def counted(seconds: float, share: float) -> Lookups:
        missed = (misses(service, conditions, seconds) - 1) / service.cacheableShare + 1
        total = round(lookups * share)
        return Lookups(total - round(total * missed), round(total * missed))

    ladder = {2.0**power for power in range(0, 12)} | {ttl}
    ghosts = {seconds: counted(seconds, SAMPLED) for seconds in sorted(ladder)}
    return {tuned.cache.name: CacheCounters(ttl, counted(ttl, 1.0), Histogram(), ghosts)}
