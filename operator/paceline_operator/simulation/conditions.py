"""What a fleet meets in one interval: the load, how many pods there are, what is slow. Frozen, hence a key."""

from dataclasses import dataclass
from math import ceil, log, pi, sin, sqrt
from typing import Final

import numpy as np

from paceline_operator.core.situation.room import HEADROOM, REMEMBERED
from paceline_operator.simulation.scenario import LoadPart, Scenario

P99: Final = 2.326
"""Standard deviations from the mean to the 99th percentile of a normal distribution."""


WEEK: Final = 7
WEEKEND: Final = (5, 6)
"""Days of a week, counted from the start of the load."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """One interval's. Two intervals with equal conditions have the same optimum."""

    requests_per_second: float
    planned_per_second: float
    """What there must be room for: 1.25 times the busiest minute of the last hour."""
    replicas: int
    max_connections: int
    database_factor: float = 1.0
    slow_pods: int = 0
    slow_factor: float = 1.0
    cpu_factor: float = 1.0
    """Of every request's CPU time: what a deploy has brought."""
    noisy_pods: int = 0
    delay_seconds: float = 0.0
    """For which a loop of these pods waits for a core when it wakes, on average."""
    broken_pods: int = 0
    cold_share: float = 0.0
    """Of the hits of a cache, that are misses."""

    @property
    def serving(self) -> int:
        """Pods that serve requests."""
        return self.replicas - self.broken_pods


def conditions_at(scenario: Scenario, interval: int, replicas: int) -> Conditions:
    """What the scenario says of the interval, with the replicas that an autoscaler has come to."""
    slow_database = scenario.active("slow-database", interval)
    slow_pod = scenario.active("slow-pod", interval)
    fewer = scenario.active("max-connections", interval)
    noisy, cold = scenario.active("noisy-neighbour", interval), scenario.active("cold-cache", interval)
    deploy = scenario.active("deploy", interval)
    pods, broken = _pods(scenario, interval, replicas)
    return Conditions(
        requests_per_second=rate_at(scenario, interval),
        planned_per_second=round(HEADROOM * (pods - broken) * _busiest(scenario, interval, replicas), 6),
        replicas=pods,
        max_connections=fewer.count if fewer else scenario.database.maxConnections,
        database_factor=slow_database.factor if slow_database else 1.0,
        slow_pods=slow_pod.pods if slow_pod else 0,
        slow_factor=slow_pod.factor if slow_pod else 1.0,
        cpu_factor=deploy.factor if deploy else 1.0,
        noisy_pods=noisy.pods if noisy else 0,
        delay_seconds=noisy.delay if noisy else 0.0,
        broken_pods=broken,
        cold_share=cold.share if cold else 0.0,
    )


def template_at(scenario: Scenario, interval: int) -> str:
    """Names the pod template of the interval: each deploy brings another one, and its end the one before."""
    deploy = scenario.active("deploy", interval)
    return f"deploy-{deploy.start}" if deploy else "first"


def rolling_out_at(scenario: Scenario, interval: int) -> bool:
    """Whether pods are replaced in the interval."""
    deployed = interval > 0 and template_at(scenario, interval) != template_at(scenario, interval - 1)
    return deployed or scenario.active("rollout", interval) is not None


def _pods(scenario: Scenario, interval: int, replicas: int) -> tuple[int, int]:
    """How many there are, and how many of them are broken; one at least is not."""
    forced, broken = scenario.active("replicas", interval), scenario.active("broken-pods", interval)
    pods = forced.count if forced else replicas
    return pods, min(broken.pods, pods - 1) if broken else 0


def _busiest(scenario: Scenario, interval: int, replicas: int) -> float:
    """Requests a second and pod in the busiest interval of the last hour; where an autoscaler moves the pods with the
    load, in this one."""
    hour = ceil(REMEMBERED.total_seconds() / scenario.interval)
    first = interval if scenario.hpa else max(0, interval - hour + 1)
    found = []
    for earlier in range(first, interval + 1):
        pods, broken = _pods(scenario, earlier, replicas)
        found.append(rate_at(scenario, earlier) / (pods - broken))
    return max(found)


def rate_at(scenario: Scenario, interval: int) -> float:
    """Requests per second of the fleet in the interval, by the last part of the load that has begun.

    To a millionth: hours of a day with the same load are then equal, and share a grid (a sine differs in its last bit).
    Worked example: `diurnal`, 1000 a second, amplitude 0.4, period 24: 1400 six intervals after its start.
    """
    index = max(i for i, part in enumerate(scenario.load) if part.start <= interval)
    part = scenario.load[index]
    end = scenario.load[index + 1].start if index + 1 < len(scenario.load) else scenario.intervals
    return round(part.requestsPerSecond * _shape(part, interval - part.start, end - part.start), 6)


def _shape(part: LoadPart, since: int, length: int) -> float:
    if part.shape == "ramp" and part.to is not None:
        return 1 + (part.to / part.requestsPerSecond - 1) * since / max(1, length - 1)
    if part.shape == "diurnal":
        return 1 + part.amplitude * sin(2 * pi * since / part.period)
    if part.shape == "weekly":
        weekend = since // part.period % WEEK in WEEKEND
        return (part.factor if weekend else 1.0) * (1 + part.amplitude * sin(2 * pi * since / part.period))
    if part.shape == "burst":
        return part.factor if since % part.every < part.length else 1.0
    return 1.0


def seconds_of_load(
    requests_per_second: float, burstiness: float, seconds: int, seed: int
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """A rate for each second, lognormal about the mean, so that p99/mean of the arrivals a second is `burstiness`.

    Poisson arrivals are bursty themselves (variance 1/rate of the ratio); only what is missing is added. Worked
    example: 100 a second have p99/mean = 1 + 2.33/10 = 1.23 by themselves.
    """
    sd = (burstiness - 1) / P99
    missing = max(0.0, sd * sd - 1 / requests_per_second)
    sigma = sqrt(log(1 + missing))
    drawn = np.random.default_rng(seed).normal(size=seconds)
    return np.asarray(requests_per_second * np.exp(sigma * drawn - sigma * sigma / 2), np.float64)
