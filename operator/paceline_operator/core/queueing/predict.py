"""What a service would do with other values: a small queueing model of one pod.

A request passes its event loop once, and once more for each checkout; waits for a connection; and is held up by the
CPU quota where a pod has more workers than cores (`core/queueing/waits.py`). The 95th percentile is the mean plus two
standard deviations, the 99th plus 3.6, as of an exponential distribution.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Final

from paceline_operator.core.model.objectives import P95, P99
from paceline_operator.core.queueing.waits import Wait, loop_wait, pool_wait, quota_wait

SPREADS: Final = {P95: 2.0, P99: 3.6}
"""Standard deviations from the mean to a percentile of an exponential distribution: ln 20 − 1, ln 100 − 1."""


@dataclass(frozen=True, slots=True)
class PoolModel:
    """One pool: checkouts per request, and how long the other end takes."""

    queries: float
    query_seconds: float


@dataclass(frozen=True, slots=True)
class Promised:
    """An objective, and how its requests differ from those that the model was fitted to.

    Slower ones wait as the others do, and take as much longer as they did: what a setting gains is the same in seconds.
    Of faster ones it is the same share.
    """

    unit: float = 1.0
    """Seconds of the first objective for one of this one."""
    spread: float = SPREADS[P95]
    factor: float = 1.0
    offset: float = 0.0
    """Seconds that are added after the factor."""

    def seconds(self, mean: float, deviation: float) -> float:
        """In the unit of the first objective."""
        return self.unit * (self.factor * (mean + self.spread * deviation) + self.offset)


@dataclass(frozen=True, slots=True)
class Model:
    """A pod's service, as `fit` found it in a window."""

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
    promised: tuple[Promised, ...] = (Promised(),)

    def p95(self, workers: float, pools: Mapping[str, float]) -> float | None:
        """Seconds, by the objective that is missed by most, in the unit of the first one; None where a queue would be
        full. With p99 as the objective it is p99."""
        moments = self.moments(workers, pools)
        if moments is None:
            return None
        return max(each.seconds(*moments) for each in self.promised)

    def moments(self, workers: float, pools: Mapping[str, float]) -> tuple[float, float] | None:
        """Mean and standard deviation of the response time, in seconds; None where a queue would be full."""
        parts = self.waits(workers, pools)
        if parts is None:
            return None
        mean = self.rest.mean + self.tail.mean * sum(wait.mean for wait in parts)
        variance = self.rest.variance + self.tail.variance * sum(wait.variance for wait in parts)
        return mean, sqrt(max(0.0, variance))

    def waits(self, workers: float, pools: Mapping[str, float]) -> list[Wait] | None:
        """What a request waits for, queue by queue; None where one would be full."""
        loop, quota = self._loop(workers), self._quota(workers)
        if loop is None or quota is None:
            return None
        passes = 1 + sum(model.queries for model in self.pools.values())
        found = [loop.times(passes), quota.times(passes)]
        for name, model in self.pools.items():
            wait = self._pool(name, workers, pools.get(name), loop.mean + quota.mean)
            if wait is None:
                return None
            found.append(wait.times(model.queries))
        return found

    def under(self, rise: float) -> "Model":
        """The same service with so many times the requests."""
        return replace(self, arrivals=rise * self.arrivals)

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

    def _loop(self, workers: float) -> Wait | None:
        return loop_wait(self.arrivals * self._cpu(workers) / workers, self.slice_seconds)

    def _quota(self, workers: float) -> Wait | None:
        if self.cpu_limit is None or workers <= self.cpu_limit:
            return Wait(0.0, 0.0)
        return quota_wait(self.arrivals, self._cpu(workers), self.cpu_limit, self.stalls)

    def _hold(self, name: str, lag: float) -> float:
        return self.pools[name].query_seconds + lag + turn(self.slice_seconds, self.cpu_seconds)

    def _pool(self, name: str, workers: float, size: float | None, lag: float) -> Wait | None:
        hold = self._hold(name, lag)
        return pool_wait(size, self.checkouts(name, workers) * hold, hold) if size else Wait(0.0, 0.0)


def turn(slice_seconds: float, cpu_seconds: float) -> float:
    """A request's own time on the loop before it gives a connection back. On a loop with little to do, where a timer's
    jitter is all the lag there is, S comes out longer than the whole request computes."""
    return min(slice_seconds, cpu_seconds)
