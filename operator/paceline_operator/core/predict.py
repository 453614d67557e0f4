"""What a service would do with other values: a small queueing model, fitted to one window.

A request passes its event loop once, and once more for each checkout; waits for a connection; and is held up by the
CPU quota where a pod has more workers than cores. Of each queue the mean and the variance are known from theory:

| queue | load | mean wait | source |
| --- | --- | --- | --- |
| event loop | ρ = λs/W | S·ρ/(1−ρ), S fitted | M/M/1 |
| quota, W > C | u = λs/C | ⅔·θ·(s/C)·u/(1−u), θ = 2Φ(−(1−u)/σ), σ² = u·s·(1+cv²)/(C·100 ms) | reflected random walk |
| pool of P | a = λq·hold/W | C(P,a)·hold/(P−a) | M/M/c |

The 95th percentile is the mean plus two standard deviations, as of an exponential distribution. What the model does not
explain of the window it was fitted to is kept as it was, so that at the values in force it says what was measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from math import erf, sqrt
from typing import Final

from paceline_operator.core.model import NOTHING
from paceline_operator.core.observation import Observation
from paceline_operator.core.queueing import erlang_c

SPREAD: Final = 2.0
"""Standard deviations from the mean to the 95th percentile of an exponential distribution: ln 20 − 1."""
PERIOD_SECONDS: Final = 0.1
"""Of the CFS quota."""
CPU_CV2: Final = 0.25
"""Squared coefficient of variation of a request's CPU time, which nobody reports."""
STALL_SHARE: Final = 2 / 3
WORKER_OVERHEAD: Final = 0.01
"""Share by which one more worker makes a request's CPU time longer, until two worker counts have been measured."""
BURSTINESS: Final = 1.25
"""p99 over mean of one-second arrival counts."""
LEAST_THROTTLED: Final = 0.01
"""Below this share of throttled periods the quota is not in the way."""
MOST_STALLS: Final = 5.0
MOST_TAIL: Final = 30.0
FULL: Final = 0.97
"""A queue at this load is taken as saturated: nothing can be said of its wait."""
LEAST_CHECKOUTS: Final = 50
"""In a window, to tell how long a pool's connections are held: to 14 % (1/√50) where holds are exponential. A pool that
is starved has few."""
LEAST_BUSY: Final = 1e-6
"""Below this load of a loop its lag says nothing of what it does."""
LONGEST: Final = timedelta(days=10)
"""What takes longer was not measured, but is an error of whoever reported it."""


@dataclass(frozen=True, slots=True)
class PoolModel:
    """One pool: checkouts per request, and how long the other end takes."""

    queries: float
    query_seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """A random wait: mean and variance, in seconds."""

    mean: float
    variance: float


@dataclass(frozen=True, slots=True)
class Model:
    """A pod's service, fitted. `saturated` names the queue that was full: then it only tells what to enlarge."""

    arrivals: float
    """Requests a second and pod."""
    cpu_seconds: float
    """Of a request, at `workers`."""
    workers: float
    overhead: float
    slice_seconds: float
    """S of the event loop."""
    cpu_limit: float | None
    stalls: float
    """How much more or less often the quota stalls than the model says."""
    pools: Mapping[str, PoolModel]
    rest: Wait
    """The work itself, and what nothing explains."""
    tail: Wait
    """By how much the waits exceed the theory's, mean and variance: load comes in bursts."""

    def p95(self, workers: float, pools: Mapping[str, float]) -> float | None:
        """Seconds; None where a queue would be full."""
        parts = self._waits(workers, pools)
        if parts is None:
            return None
        mean = self.rest.mean + self.tail.mean * sum(wait.mean for wait in parts)
        variance = self.rest.variance + self.tail.variance * sum(wait.variance for wait in parts)
        return mean + SPREAD * sqrt(max(0.0, variance))

    def lag_seconds(self, workers: float) -> float | None:
        """The mean lag of a loop; None where it would be full."""
        loop, quota = self._loop(workers), self._quota(workers)
        return None if loop is None or quota is None else loop.mean + quota.mean

    def hold_seconds(self, name: str, workers: float) -> float | None:
        """How long a connection is held: the query, and until the loop has come back to the request."""
        lag = self.lag_seconds(workers)
        return None if lag is None else self._hold(name, lag)

    def checkouts(self, name: str, workers: float) -> float:
        """Checkouts a second and worker."""
        return self.arrivals * self.pools[name].queries / workers

    def cpu_ratio(self, workers: float) -> float | None:
        """CPU used over the limit."""
        return None if self.cpu_limit is None else self.arrivals * self._cpu(workers) / self.cpu_limit

    def _cpu(self, workers: float) -> float:
        return self.cpu_seconds * (1 + self.overhead * (workers - 1)) / (1 + self.overhead * (self.workers - 1))

    def _waits(self, workers: float, pools: Mapping[str, float]) -> list[Wait] | None:
        loop, quota = self._loop(workers), self._quota(workers)
        if loop is None or quota is None:
            return None
        passes = 1 + sum(model.queries for model in self.pools.values())
        found = [_times(loop, passes), _times(quota, passes)]
        for name, model in self.pools.items():
            wait = self._pool(name, workers, pools.get(name), loop.mean + quota.mean)
            if wait is None:
                return None
            found.append(_times(wait, model.queries))
        return found

    def _loop(self, workers: float) -> Wait | None:
        return loop_wait(self.arrivals * self._cpu(workers) / workers, self.slice_seconds)

    def _quota(self, workers: float) -> Wait | None:
        if self.cpu_limit is None or workers <= self.cpu_limit:
            return Wait(0.0, 0.0)
        return quota_wait(self.arrivals, self._cpu(workers), self.cpu_limit, self.stalls)

    def _hold(self, name: str, lag: float) -> float:
        return self.pools[name].query_seconds + lag + _turn(self.slice_seconds, self.cpu_seconds)

    def _pool(self, name: str, workers: float, size: float | None, lag: float) -> Wait | None:
        hold = self._hold(name, lag)
        return pool_wait(size, self.checkouts(name, workers) * hold, hold) if size else Wait(0.0, 0.0)


def fit(
    observation: Observation, workers: float, pools: Mapping[str, float], overhead: float = WORKER_OVERHEAD
) -> Model | None:
    """The model that agrees with a window; None where a queue was full, or figures are missing or absurd.

    Args:
        observation: the window.
        workers: that served it, in each pod.
        pools: their limits, per worker.
        overhead: what one more worker adds to a request's CPU time, as a share.
    """
    lag, p95, mean = observation.loop_lag.mean, observation.p95, observation.duration.mean
    if lag is None or not p95 or not mean or not observation.requests:
        return None
    arrivals = observation.requests_per_second / observation.pods
    cpu = observation.cpu_seconds / observation.requests
    limit = observation.cpu_limit
    if not _measurable(lag, p95, mean, cpu, *(p.hold.mean or 0.0 for p in observation.pools.values())):
        return None
    if not LEAST_BUSY <= arrivals * cpu / workers < FULL or not (limit is None or arrivals * cpu < FULL * limit):
        return None
    passes = 1 + sum(max(p.hold.count, p.wait.count) for p in observation.pools.values()) / observation.requests
    slice_seconds, stalls = _fitted_loop(observation, arrivals, cpu, workers, passes)
    named = _fitted_pools(observation, lag, slice_seconds, cpu)
    work = _work(cpu, named)
    bare = Model(arrivals, cpu, workers, overhead, slice_seconds, limit, stalls, named, work, Wait(1.0, 1.0))
    parts = bare._waits(workers, pools)
    if parts is None:
        return None
    spread = (max(0.0, p95 - mean) / SPREAD) ** 2
    rest_mean, tail_mean = _explained(mean, work.mean, sum(wait.mean for wait in parts))
    rest_variance, tail_variance = _explained(spread, work.variance, sum(wait.variance for wait in parts))
    return replace(bare, rest=Wait(rest_mean, rest_variance), tail=Wait(tail_mean, tail_variance))


def _measurable(*seconds: float) -> bool:
    """False for what is no number, too."""
    return all(0 <= figure <= LONGEST.total_seconds() for figure in seconds)


def _explained(measured: float, work: float, waits: float) -> tuple[float, float]:
    """What is not waiting, and the factor on the waits, so that together they are what was measured.

    Less than expected is laid to the work, down to half of it, more to the waits, which bursts make longer than theory
    does.
    """
    if waits <= 0:
        return measured, 1.0
    least = min(work, measured) / 2
    rest = min(max(measured - waits, least), work)
    factor = min((measured - rest) / waits, MOST_TAIL)
    return measured - factor * waits, factor


def _work(cpu_seconds: float, pools: Mapping[str, PoolModel]) -> Wait:
    """A request that waits for nothing: its CPU time, and its queries, taken as exponential."""
    queries = pools.values()
    return Wait(
        cpu_seconds + sum(model.queries * model.query_seconds for model in queries),
        CPU_CV2 * cpu_seconds**2 + sum(model.queries * model.query_seconds**2 for model in queries),
    )


def _fitted_loop(
    observation: Observation, arrivals: float, cpu: float, workers: float, passes: float
) -> tuple[float, float]:
    """S, and how much more the quota delays than the model says, so that the lag is what was measured.

    Without a quota in the way all lag is the loop's. With one the loop's share is what theory gives for slices of
    equal length, and the rest is the quota's.
    """
    lag, busy = observation.loop_lag.mean or 0.0, arrivals * cpu / workers
    limit, throttled = observation.cpu_limit, observation.throttled_ratio or 0.0
    if limit is None or workers <= limit or throttled < LEAST_THROTTLED:
        return lag * (1 - busy) / busy, 1.0
    slice_seconds = min((1 + CPU_CV2) / 2 * BURSTINESS * cpu / passes, lag * (1 - busy) / busy)
    expected = quota_wait(arrivals, cpu, limit)
    left = lag - slice_seconds * busy / (1 - busy)
    return slice_seconds, min(max(left / expected.mean, 0.0), MOST_STALLS) if expected and expected.mean else 1.0


def _turn(slice_seconds: float, cpu_seconds: float) -> float:
    """A request's own time on the loop before it gives a connection back. On a loop with little to do, where a timer's
    jitter is all the lag there is, S comes out longer than the whole request computes."""
    return min(slice_seconds, cpu_seconds)


def _fitted_pools(observation: Observation, lag: float, slice_seconds: float, cpu: float) -> Mapping[str, PoolModel]:
    found = {}
    for name, seen in observation.pools.items():
        hold = seen.hold.mean
        if hold is not None and seen.hold.count >= LEAST_CHECKOUTS:
            found[name] = PoolModel(
                max(seen.hold.count, seen.wait.count) / observation.requests,
                max(0.1 * hold, hold - lag - _turn(slice_seconds, cpu)),
            )
    return found or NOTHING


def loop_wait(busy: float, slice_seconds: float) -> Wait | None:
    """M/M/1: a share `busy` waits, exponentially. Worked example: half busy, slices of 2 ms → 2 ms on average."""
    if busy >= FULL:
        return None
    mean = slice_seconds * busy / (1 - busy)
    return Wait(mean, mean * mean * (2 - busy) / busy if busy else 0.0)


def throttled_share(arrivals: float, cpu_seconds: float, cpu_limit: float) -> float:
    """Share of the periods in which the quota runs out, with more workers than cores.

    CPU demand over periods is a random walk that the quota pulls back; by the reflection principle it is above the
    quota `2Φ(−(1−u)/σ)` of the time. Worked example: 400 requests a second of 4.2 ms on 2 cores: u = 0.84, σ = 0.15
    → 28 %.
    """
    used = arrivals * cpu_seconds / cpu_limit
    sigma = sqrt(used * cpu_seconds * (1 + CPU_CV2) / (cpu_limit * PERIOD_SECONDS))
    if used >= 1 or not sigma:
        return 1.0 if used >= 1 else 0.0
    return min(1.0, 1 - erf((1 - used) / sigma / sqrt(2)))


def quota_wait(arrivals: float, cpu_seconds: float, cpu_limit: float, stalls: float = 1.0) -> Wait | None:
    """What the quota adds to each pass of a loop; None where it is spent for good."""
    used = arrivals * cpu_seconds / cpu_limit
    if used >= FULL:
        return None
    share = throttled_share(arrivals, cpu_seconds, cpu_limit)
    mean = stalls * STALL_SHARE * share * cpu_seconds / cpu_limit * used / (1 - used)
    return Wait(mean, mean * mean * (2 - share) / share if share else 0.0)


def pool_wait(size: float, load: float, hold_seconds: float) -> Wait | None:
    """M/M/c: a share C(P, a) waits, exponentially."""
    if load >= FULL * size:
        return None
    waiting = erlang_c(int(size), load)
    mean = waiting * hold_seconds / (size - load)
    return Wait(mean, mean * mean * (2 - waiting) / waiting if waiting else 0.0)


def _times(wait: Wait, passes: float) -> Wait:
    return Wait(wait.mean * passes, wait.variance * passes)
