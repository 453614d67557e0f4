"""How good a setting is under given conditions, and the best there is: the exhaustive grid.

`J` is the smaller the better. With `prefer: cost` it is the mean share of workers, connections and memory of what the
bounds allow, where the objective is met with room: at 1.25 times the load of the busiest minute of the last hour; else
1 + p95/objective. With `prefer: latency` it is p95 over the objective.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Final

import numpy as np

from paceline_operator.core.model.policy import Objective, Policy, Prefer
from paceline_operator.core.model.tunables import WORKERS, Tunable, Values
from paceline_operator.simulation.conditions import Conditions, conditions_at
from paceline_operator.simulation.physics import Length, Tuned, most_workers, simulate, tuned_of
from paceline_operator.simulation.records import GROUPS, Played
from paceline_operator.simulation.scenario import Scenario

FRESH_SEEDS: Final = (900_001, 900_002)
"""For judging only: no controller ever sees an interval played with these."""
SCREENING: Final = (
    (Length(5_000, least_seconds=2, warm_up=1), 0.15, 100),
    (Length(10_000), 0.25, 8),
    (Length(50_000), 0.2, 8),
)
"""Rounds that leave candidates out, on the first seed: how long each is played, the share that stays, and how many stay
at least. What that can cost is measured in docs/tuning.md."""
WHOLE: Final = Length(150_000)
FAR: Final = 1.3
"""p95 over the objective in a short look, above which a longer one would find it missed as well."""
EQUAL: Final = 0.005
"""Settings whose J differs by less than this share count as equal: the cheaper one is the optimum."""


@dataclass(slots=True)
class Judge:
    """Judges settings of one scenario on fresh seeds; what was judged once is remembered, for copies of it as well."""

    scenario: Scenario
    policy: Policy
    tuned: Tuned
    start: Values
    _p95: dict[tuple[Conditions, tuple[tuple[Tunable, float], ...], Length, int], float] = field(default_factory=dict)
    _best: dict[Conditions, Values] = field(default_factory=dict)

    def objective(self, conditions: Conditions, values: Values) -> float:
        """J, on all fresh seeds and whole intervals."""
        return self._scored(conditions, values, WHOLE, len(FRESH_SEEDS))

    def briefly(self, conditions: Conditions, values: Values, seconds: float) -> float:
        """J of values that were in force for some seconds only: a queue that is full grows for no longer than that."""
        whole = self.objective(conditions, values)
        if whole <= 1 and self._counts_cost:
            return whole
        ratio = self._ratio(conditions, values, Length(0, round(seconds)), len(FRESH_SEEDS))
        return min(whole, 1 + ratio if self._counts_cost else ratio)

    def p95(self, conditions: Conditions, values: Values) -> float:
        """What is compared with the objective, in seconds, on all fresh seeds; a request without a response counts with
        its age."""
        return self._played(conditions, values, WHOLE, len(FRESH_SEEDS))

    def met_with_room(self, conditions: Conditions, values: Values) -> bool:
        """Whether the objective would be met under the load that there must be room for; on all fresh seeds."""
        return self._ratio(_planned(conditions), values, WHOLE, len(FRESH_SEEDS)) <= 1

    def best(self, conditions: Conditions) -> Values:
        """The best of all settings within bounds, budget and memory.

        With `prefer: cost` the cheapest that meets the objective with room. Else, and where none does, all are played
        shortly, the better ones longer and longer, the last few on all fresh seeds.
        """
        if conditions not in self._best:
            candidates = list(self.candidates(conditions))
            cheapest = self._cheapest(conditions, candidates) if self._counts_cost else None
            if cheapest is not None:
                self._best[conditions] = cheapest
                return cheapest
            for length, share, least in SCREENING:
                keep = max(least, round(share * len(candidates)))
                if keep < len(candidates):
                    candidates = self._ranked(conditions, candidates, length, 1)[:keep]
            finalists = self._ranked(conditions, candidates, WHOLE, len(FRESH_SEEDS))
            lowest = self.objective(conditions, finalists[0])
            equal = [v for v in finalists if self.objective(conditions, v) <= lowest * (1 + EQUAL)]
            self._best[conditions] = min(equal, key=self.cost)
        return self._best[conditions]

    def best_throughout(self) -> Values:
        """The best single setting over all intervals, with the replicas that the scenario starts with."""
        shares = Counter(
            conditions_at(self.scenario, interval, self.scenario.fleet.replicas)
            for interval in range(self.scenario.intervals)
        )
        found = [self.best(conditions) for conditions in shares]
        return min(found, key=lambda values: mean_objective(self, shares, values))

    def candidates(self, conditions: Conditions) -> Iterator[Values]:
        """Every worker count, pool size and TTL that is allowed; large pools and TTLs in steps of about a quarter."""
        workers = [w for w in self._sizes(WORKERS, 1) if w <= most_workers(self.scenario)] or [1.0]
        pools = self._sizes(self.tuned.pool, 5) if self.tuned.pool else [0.0]
        ttls = self._ttls()
        for w, p, ttl in product(workers, pools, ttls):
            values = dict(self.start)
            values[WORKERS] = w
            if self.tuned.pool:
                values[self.tuned.pool] = p
            if self.tuned.cache:
                values[self.tuned.cache] = ttl
            if allowed(self.scenario, self.policy, conditions, values):
                yield values

    def _ttls(self) -> list[float]:
        """With `prefer: cost` the one that pods start with, as far as it is allowed: staleness is no way to save."""
        if self.tuned.cache is None:
            return [0.0]
        spec, start = self.policy.tunables.get(self.tuned.cache), self.start.get(self.tuned.cache, 60.0)
        if self._counts_cost:
            return [start if spec is None else spec.allowed(start)]
        return self._sizes(self.tuned.cache, 60)

    def cost(self, values: Values) -> float:
        """The mean share of workers, connections and memory of what the bounds allow, in [0, 1]."""
        most = {tunable: self._most(tunable, values) for tunable in (WORKERS, self.tuned.pool) if tunable}
        workers = values.get(WORKERS, 1) / most[WORKERS]
        fleet = self.scenario.fleet
        memory = (fleet.memoryBase + values.get(WORKERS, 1) * fleet.memoryPerWorker) / fleet.memoryLimit
        if self.tuned.pool is None:
            return (workers + memory) / 2
        connections = workers * values[self.tuned.pool] / most[self.tuned.pool]
        return (workers + connections + memory) / 3

    def _most(self, tunable: Tunable, values: Values) -> float:
        spec = self.policy.tunables.get(tunable)
        return spec.bounds.maximum if spec and spec.bounds else values.get(tunable, 1)

    def _sizes(self, tunable: Tunable, otherwise: float) -> list[float]:
        spec = self.policy.tunables.get(tunable)
        if spec is None or spec.bounds is None:
            pinned = spec.pinned if spec else None
            return [self.start.get(tunable, otherwise) if pinned is None else pinned]
        sizes = {spec.bounds.minimum, spec.bounds.maximum}
        size = max(1.0, spec.bounds.minimum)
        while size < spec.bounds.maximum:
            sizes.add(size)
            size = float(max(size + 1, round(size * 1.25))) if size >= 8 else size + 1
        return sorted(sizes)

    def _ranked(self, conditions: Conditions, candidates: list[Values], length: Length, seeds: int) -> list[Values]:
        return sorted(candidates, key=lambda values: self._scored(conditions, values, length, seeds))

    @property
    def _counts_cost(self) -> bool:
        return self.policy.objective is not None and self.policy.objective.prefer is Prefer.COST

    def _cheapest(self, conditions: Conditions, candidates: list[Values]) -> Values | None:
        """None where no setting meets the objective with room. What a short look finds far from it is not looked at
        again."""
        for values in sorted(candidates, key=self.cost):
            shortly = self._ratio(_planned(conditions), values, SCREENING[0][0], 1)
            if shortly <= FAR and self.met_with_room(conditions, values):
                return values
        return None

    def _scored(self, conditions: Conditions, values: Values, length: Length, seeds: int) -> float:
        if not self._counts_cost:
            return self._ratio(conditions, values, length, seeds)
        if self._ratio(_planned(conditions), values, length, seeds) <= 1:
            return self.cost(values)
        return 1 + self._ratio(conditions, values, length, seeds)

    def _ratio(self, conditions: Conditions, values: Values, length: Length, seeds: int) -> float:
        assert self.policy.objective is not None  # the scenario gives one
        return self._played(conditions, values, length, seeds) / self.policy.objective.limit.total_seconds()

    def _played(self, conditions: Conditions, values: Values, length: Length, seeds: int) -> float:
        key = (conditions, tuple(sorted(values.items())), length, seeds)
        assert self.policy.objective is not None  # the scenario gives one
        if key not in self._p95:
            found = [
                judged_seconds(
                    self.policy.objective,
                    simulate(self.scenario, conditions, self.tuned, values, seed=seed, length=length),
                )
                for seed in FRESH_SEEDS[:seeds]
            ]
            self._p95[key] = float(np.mean(found))
        return self._p95[key]


def judged_seconds(objective: Objective, played: Played) -> float:
    """What the objective is about, exactly: of several, the one that is missed by most, in the unit of the first, as
    the operator has it (`core/measure/responses.py`)."""
    about = [objective.target_of(group) for group in GROUPS]
    found = [0.0]
    for number, target in enumerate(objective.targets):
        own = np.isin(played.routes, [route for route, each in enumerate(about) if each == number])
        if own.any():
            measured = float(np.percentile(played.latencies[own], 100 * target.quantile))
            found.append(measured * (objective.limit / target.limit))
    return max(found)


def _planned(conditions: Conditions) -> Conditions:
    planned = conditions.planned_per_second
    return replace(conditions, requests_per_second=planned, planned_per_second=planned)


def judge_of(scenario: Scenario) -> Judge:
    """Who judges the settings of a scenario, with nothing judged yet."""
    policy, start = scenario.parsed_policy(), scenario.start_values()
    return Judge(scenario, policy, tuned_of(start, dict.fromkeys(policy.tunables, 0.0)), start)


def allowed(scenario: Scenario, policy: Policy, conditions: Conditions, values: Values) -> bool:
    """Whether the values keep every hard constraint: bounds, memory, staleness, and the budget in the worst case."""
    for tunable, spec in policy.tunables.items():
        value = values.get(tunable)
        if value is not None and spec.bounds is not None and spec.allowed(value) != value:
            return False
    if values.get(WORKERS, 1) > most_workers(scenario):
        return False
    return connections(scenario, policy, conditions, values) <= budget(scenario, conditions)


def connections(scenario: Scenario, policy: Policy, conditions: Conditions, values: Values) -> float:
    """What the pools with a budget may open: worst-case pods · workers · limits."""
    limits = sum(values.get(t, 0) for t, spec in policy.tunables.items() if spec.budget is not None)
    return worst_case_pods(scenario, policy, conditions) * values.get(WORKERS, 1) * limits


def budget(scenario: Scenario, conditions: Conditions) -> int:
    """`max_connections − reserved`."""
    return conditions.max_connections - scenario.database.reserved


def worst_case_pods(scenario: Scenario, policy: Policy, conditions: Conditions) -> int:
    """The most pods there may be: the autoscaler's maximum, else the policy's, and never less than there are."""
    most = scenario.hpa.max if scenario.hpa else policy.max_replicas or scenario.fleet.replicas
    return max(most, conditions.replicas)


def mean_objective(judge: Judge, shares: Mapping[Conditions, int], values: Values) -> float:
    """J over conditions by how often each occurred."""
    return sum(judge.objective(c, values) * n for c, n in shares.items()) / sum(shares.values())
