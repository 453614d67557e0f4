"""One interval of a fleet with given values: from the scenario's words to the kernel's numbers."""

from dataclasses import dataclass
from math import inf, log, sqrt
from typing import Final

import numpy as np

from paceline_operator.core.model.tunables import WORKERS, Kind, Tunable, Values
from paceline_operator.simulation.conditions import Conditions, seconds_of_load
from paceline_operator.simulation.kernel import play
from paceline_operator.simulation.records import Fleet, Load, Played
from paceline_operator.simulation.scenario import Scenario, ServicePart

MOST_PODS: Final = 20
"""Larger fleets are simulated with this many pods; the database sees the load of all."""
MEMORY_SHARE: Final = 0.9
"""A pod adds workers only while memory stays below this share of its limit."""


@dataclass(frozen=True, slots=True)
class Length:
    """How long an interval is played: until so many requests have come, at least so many seconds, after a warm-up."""

    requests: int
    least_seconds: int = 10
    warm_up: int = 5


@dataclass(frozen=True, slots=True)
class Tuned:
    """Which tunables of a policy the model knows: its pool is the database's, its cache the response cache."""

    pool: Tunable | None
    cache: Tunable | None


def tuned_of(values: Values, named: Values) -> Tuned:
    """The first pool and the first cache that the policy names, else that pods start with."""
    return Tuned(_first(Kind.POOL, named) or _first(Kind.POOL, values), _first(Kind.CACHE, named))


def _first(kind: Kind, values: Values) -> Tunable | None:
    return next((tunable for tunable in values if tunable.kind is kind), None)


def most_workers(scenario: Scenario) -> int:
    """What memory allows: ⌊(0.9 · limit − base) / worker⌋, at least 1."""
    fleet = scenario.fleet
    return max(1, int((MEMORY_SHARE * fleet.memoryLimit - fleet.memoryBase) / fleet.memoryPerWorker))


def simulate(
    scenario: Scenario, conditions: Conditions, tuned: Tuned, values: Values, *, seed: int, length: Length
) -> Played:
    """Plays one interval, or as much of it as `length` says."""
    pods = min(MOST_PODS, conditions.serving)
    stood_for = conditions.serving / pods
    rate = conditions.requests_per_second / stood_for
    workers = min(int(values.get(WORKERS, 1)), most_workers(scenario))
    seconds = round(min(scenario.interval, max(length.least_seconds, length.requests / rate))) + length.warm_up
    service, database = scenario.service, scenario.database
    cpu = np.full(pods, service.cpuPerRequest * (1 + service.workerOverhead * (workers - 1)) * conditions.cpu_factor)
    cpu[: scaled_down(conditions.slow_pods, stood_for)] *= conditions.slow_factor
    delays = np.zeros(pods)
    delays[: scaled_down(conditions.noisy_pods, stood_for)] = conditions.delay_seconds
    ttl = values.get(tuned.cache, 0.0) if tuned.cache else 0.0
    return play(
        seed,
        seconds_of_load(rate, scenario.burstiness, seconds, seed),
        cpu,
        Load(
            length.warm_up,
            misses(service, conditions, ttl),
            service.databaseQueriesPerRequest,
            service.slowRoute.share,
            service.slowRoute.cpuFactor,
        ),
        Fleet(
            workers=workers,
            pool=int(values[tuned.pool]) if tuned.pool else 1_000,
            cpu_limit=scenario.fleet.cpuLimit or inf,
            cpu_sigma=_sigma(service.cpuCv),
            query_seconds=database.time * conditions.database_factor,
            query_sigma=_sigma(database.cv),
            contention=database.sigma,
            coherency=database.kappa,
            pods_stood_for=stood_for,
            cores=scenario.fleet.cores or inf,
        ),
        delays,
    )


def scaled_down(pods: int, stood_for: float) -> int:
    """Of the pods that are played, as many as stand for these; one at least, if there are any."""
    return round(pods / stood_for) or min(1, pods)


def misses(service: ServicePart, conditions: Conditions, ttl_seconds: float) -> float:
    """Share of the requests that reach the database under these conditions."""
    hits = 1 - miss_ratio(service, conditions.requests_per_second, ttl_seconds)
    return 1 - (1 - conditions.cold_share) * hits


def miss_ratio(service: ServicePart, requests_per_second: float, ttl_seconds: float) -> float:
    """Share of the requests that reach the database.

    Reads of a key are Poisson and its TTL starts at the fill: it hits with `λT/(1+λT)`. Keys follow Zipf's law.
    Worked example: Zipf 0.9 over 20 000 keys, 2600 reads a second: 34 %, 15 % and 2 % miss at 5, 30 and 300 s.
    """
    if not service.cacheableShare or ttl_seconds <= 0:
        return 1.0
    popularity = 1 / np.arange(1, service.cacheKeys + 1) ** service.zipf
    popularity /= popularity.sum()
    reads = popularity * requests_per_second * service.cacheableShare * ttl_seconds
    hits = float((popularity * reads / (1 + reads)).sum())
    return 1 - service.cacheableShare * hits


def _sigma(cv: float) -> float:
    """Of a lognormal distribution with this coefficient of variation."""
    return sqrt(log(1 + cv * cv))
