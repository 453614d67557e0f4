"""The simulator's fleet as one would write it with SimPy: the path of a request is a process, loops are resources."""

from collections.abc import Iterator
from random import Random
from typing import Any

import simpy
from paceline_operator.simulation.records import PERIOD, Fleet

Events = Iterator[simpy.Event]


class _Pod:
    """The CPU quota of one pod: what its loops have spent in this period."""

    def __init__(self) -> None:
        self.spent = 0.0
        self.period = 0

    def exhausted(self, now: float, quota: float) -> bool:
        period = int(now / PERIOD)
        if period > self.period:
            self.spent = max(0.0, self.spent - quota * (period - self.period))
            self.period = period
        return self.spent >= quota


class SimpyFleet:
    """Single use: `play` once. `arrived` counts all requests, those of the warm-up included."""

    def __init__(self, fleet: Fleet, rate: float, pods: int, cpu_seconds: float, seed: int) -> None:
        self._fleet = fleet
        self._rate = rate
        self._cpu_seconds = cpu_seconds
        self._random = Random(seed)
        self._environment = simpy.Environment()
        self._pods = [_Pod() for _ in range(pods)]
        workers = range(pods * fleet.workers)
        self._loops = [simpy.Resource(self._environment) for _ in workers]
        self._pools = [simpy.Resource(self._environment, fleet.pool) for _ in workers]
        self._active = 0
        self._latencies: list[float] = []
        self.arrived = 0

    def play(self, seconds: float, warm_up: float) -> list[float]:
        """The latencies, in seconds, of the requests that came after the warm-up and were answered."""
        self._environment.process(self._arrivals(warm_up))
        self._environment.run(until=seconds)
        return self._latencies

    def _arrivals(self, warm_up: float) -> Events:
        while True:
            yield self._environment.timeout(self._random.expovariate(self._rate))
            self.arrived += 1
            self._environment.process(self._request(warm_up))

    def _request(self, warm_up: float) -> Events:
        arrived = self._environment.now
        which = self._random.randrange(len(self._loops))
        half = self._cpu_seconds * self._lognormal(self._fleet.cpu_sigma) / 2
        yield from self._slice(which, half)
        with self._pools[which].request() as connection:
            yield connection
            yield self._environment.timeout(self._query_seconds())
            self._active -= 1
            yield from self._slice(which, half)
        if arrived >= warm_up:
            self._latencies.append(self._environment.now - arrived)

    def _slice(self, which: int, seconds: float) -> Iterator[Any]:
        pod, environment = self._pods[which // self._fleet.workers], self._environment
        with self._loops[which].request() as turn:
            yield turn
            while pod.exhausted(environment.now, self._fleet.cpu_limit * PERIOD):
                yield environment.timeout((int(environment.now / PERIOD) + 1) * PERIOD + 1e-9 - environment.now)
            pod.spent += seconds
            yield environment.timeout(seconds)

    def _query_seconds(self) -> float:
        fleet = self._fleet
        self._active += 1
        others = self._active - 1
        slowed = 1 + others * (fleet.contention + fleet.coherency * (others + 1))
        return fleet.query_seconds * slowed * self._lognormal(fleet.query_sigma)

    def _lognormal(self, sigma: float) -> float:
        return self._random.lognormvariate(-sigma * sigma / 2, sigma)
