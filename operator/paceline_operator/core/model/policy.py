"""What a person wants of a service and allows the operator: a parsed TuningPolicy, without its wire format."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from math import ceil
from typing import Final

from paceline_operator.core.model.objectives import P95, Target, matches
from paceline_operator.core.model.tunables import NOTHING, Tunable

DEFAULT_ERROR_RATIO: Final = 0.001
LONGEST_WINDOW: Final = timedelta(hours=1)


class Mode(StrEnum):
    """What the operator may do with a target; in rising order of power."""

    OFF = "Off"
    RECOMMEND = "Recommend"
    AUTO = "Auto"

    def capped(self, limit: "Mode") -> "Mode":
        """The less powerful of the two."""
        order = tuple(Mode)
        return min(self, limit, key=order.index)


class Prefer(StrEnum):
    """What a policy wants where several settings meet its objective: the cheapest of them, or the fastest."""

    COST = "cost"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The smallest and the largest value allowed, both included."""

    minimum: float
    maximum: float

    def clamp(self, value: float) -> float:
        return min(max(value, self.minimum), self.maximum)


@dataclass(frozen=True, slots=True)
class TunableSpec:
    """What a policy says of one tunable: one of `pinned` and `bounds`; neither for a pool that only counts."""

    tunable: Tunable
    pinned: float | None = None
    bounds: Bounds | None = None
    budget: str | None = None
    """`namespace/name` of the ConnectionBudget that a pool draws from."""
    weight: float = 1.0
    """How much a request that waits there counts beside those of other pools of the budget."""

    def allowed(self, value: float) -> float:
        """The value nearest to `value` within the bounds; any where there are none."""
        return self.bounds.clamp(value) if self.bounds else value


@dataclass(frozen=True, slots=True)
class Objective:
    """What the service promises its callers."""

    limit: timedelta
    """Of the response time at `quantile`, of the requests that none of `routes` is about."""
    error_ratio: float = DEFAULT_ERROR_RATIO
    prefer: Prefer = Prefer.COST
    excluded_routes: frozenset[str] = frozenset()
    quantile: float = P95
    routes: tuple[Target, ...] = ()
    """What is promised of some routes alone; the first that matches counts."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """That of all other requests, then those of routes."""
        return (Target(self.limit, self.quantile), *self.routes)

    @property
    def named(self) -> tuple[str, ...]:
        """The route groups and patterns that pods are asked to name: excluded ones first, then those of objectives."""
        return (*sorted(self.excluded_routes), *(target.match for target in self.routes))

    def target_of(self, group: str) -> int | None:
        """The index in `targets` of what a route group counts towards; None where it does not count."""
        if any(matches(pattern, group) for pattern in self.excluded_routes):
            return None
        return next((number for number, route in enumerate(self.routes, 1) if matches(route.match, group)), 0)


@dataclass(frozen=True, slots=True)
class Behavior:
    """How patient the loop is. Settle times are fractions of `interval`, so that a short one tunes fast."""

    interval: timedelta = timedelta(seconds=60)
    min_samples: int = 2000
    tolerance: float = 0.1
    cooldown: timedelta = timedelta(seconds=60)
    max_changes_per_hour: int = 20
    stabilization_windows: int = 5
    """What is given back is the least that was needed in each of so many windows."""
    canary_pods: int = 1
    """How many pods try a change of workers or pools before the others; 0: none."""
    canary_share: float | None = None
    """The same as a share of the pods, in place of the number."""

    def canaries(self, pods: int) -> int:
        """How many of so many pods try a change first. Worked example: 10 % of 24 pods → 3."""
        return self.canary_pods if self.canary_share is None else ceil(self.canary_share * pods - 1e-9)

    @property
    def settle(self) -> timedelta:
        """After a change has been acked and before it is measured."""
        return self.interval / 4

    @property
    def usual_window(self) -> timedelta:
        """What a window grows to while nobody knows whether there will ever be enough requests."""
        return 5 * self.interval

    @property
    def longest_window(self) -> timedelta:
        """A window grows up to this until it holds `min_samples`: 60 intervals, an hour at most, and five at least.

        Worked example: an hour of 60 s, five minutes of 5 s, 75 minutes of 15 minutes.
        """
        return max(self.usual_window, min(60 * self.interval, LONGEST_WINDOW))

    def fills(self, requests: int, seconds: float) -> bool:
        """Whether the longest window holds enough of them, if they go on coming as so many came in so many seconds."""
        return requests * self.longest_window.total_seconds() >= self.min_samples * seconds

    @property
    def least_a_minute(self) -> int:
        """Requests that the fleet must have for a window to hold `min_samples`. Worked example: 2000 an hour: 34."""
        return ceil(self.min_samples / self.longest_window.total_seconds() * 60)


@dataclass(frozen=True, slots=True)
class Policy:
    """A parsed TuningPolicy. Without an objective nothing but pinned values and bounds applies."""

    tunables: Mapping[Tunable, TunableSpec] = field(default_factory=lambda: NOTHING)
    objective: Objective | None = None
    behavior: Behavior = field(default_factory=Behavior)
    mode: Mode = Mode.RECOMMEND
    max_replicas: int | None = None
    """The most pods there may be, for budgets, where no autoscaler says it."""
    admission: Bounds | None = None
    """Requests in flight per worker; None: admission is off."""
