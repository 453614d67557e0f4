"""The values that the tuning core speaks: what may change, within what, what was decided.

Everything here is frozen and knows no clock, wire format or cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from paceline_operator.core.durations import format_duration

NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})


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
    """What a policy wants where several settings meet its objective."""

    LATENCY = "latency"
    ECONOMY = "economy"


class Reason(StrEnum):
    """Why a decision is what it is; words to search for, in status, metrics, log and trace."""

    LOOP_LAG_HIGH = "LoopLagHigh"
    POOL_WAIT_HIGH = "PoolWaitHigh"
    POOL_OVERSIZED = "PoolOversized"
    WORKERS_OVERSIZED = "WorkersOversized"
    ADMISSION_SIZED = "AdmissionSized"
    REQUESTS_TURNED_AWAY = "RequestsTurnedAway"
    THROTTLING_HIGH = "ThrottlingHigh"
    DATABASE_SATURATED = "DatabaseSaturated"
    CACHE_MISSES_HIGH = "CacheMissesHigh"
    PROBE = "Probe"
    ROLLED_BACK = "RolledBack"
    OUT_OF_MEMORY = "OutOfMemory"
    WITHIN_TOLERANCE = "WithinTolerance"
    COOLING_DOWN = "CoolingDown"
    AT_MAXIMUM = "AtMaximum"
    CLAMPED = "Clamped"
    PINNED_BY_SPEC = "PinnedBySpec"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    BUDGET_CONSOLIDATED = "BudgetConsolidated"
    BUDGET_NOT_FOUND = "BudgetNotFound"
    UNREGISTERED_POOL = "UnregisteredPool"
    INSUFFICIENT_TELEMETRY = "InsufficientTelemetry"
    TELEMETRY_STALE = "TelemetryStale"
    NO_TRAFFIC = "NoTraffic"
    NOT_REPORTING = "NotReporting"
    NOT_CONVERGED = "NotConverged"
    SHRINK_BLOCKED = "ShrinkBlocked"
    ROLLOUT_IN_PROGRESS = "RolloutInProgress"
    SCALE_OUT_RECOMMENDED = "ScaleOutRecommended"
    OBJECTIVE_INFEASIBLE = "ObjectiveInfeasible"
    TUNING_SUSPENDED = "TuningSuspended"
    EXTERNAL_CHANGE = "ExternalChange"
    PAUSED = "Paused"
    TARGET_NOT_FOUND = "TargetNotFound"
    TARGET_CONFLICT = "TargetConflict"
    INVALID_SPEC = "InvalidSpec"
    RUNTIME_TOO_OLD = "RuntimeTooOld"


class Kind(StrEnum):
    """What a tunable is."""

    WORKERS = "workers"
    POOL = "pool"
    CACHE = "cache"
    ADMISSION = "admission"


@dataclass(frozen=True, slots=True, order=True)
class Tunable:
    """A value that changes while the service runs.

    Its unit: processes, connections per worker, seconds of TTL, requests in flight per worker.
    """

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        return f"admission.{self.name}" if self.kind is Kind.ADMISSION else self.name or self.kind.value

    def describe(self, value: float) -> str:
        """The value as people write it: `4`, `60s`, `off`."""
        if self.kind is Kind.ADMISSION and not value:
            return "off"
        return format_duration(value) if self.kind is Kind.CACHE or self == ADMISSION_P95 else f"{value:g}"


WORKERS: Final = Tunable(Kind.WORKERS)
ADMISSION_MIN: Final = Tunable(Kind.ADMISSION, "min")
ADMISSION_MAX: Final = Tunable(Kind.ADMISSION, "max")
"""Requests in flight per worker; 0: off, as where they are absent."""
ADMISSION_P95: Final = Tunable(Kind.ADMISSION, "p95Seconds")
"""The objective that pods brake by; 0: none."""

Values: TypeAlias = Mapping[Tunable, float]
"""A value for each tunable that is known or named; an absent one means the pod's start value."""


def pool(name: str) -> Tunable:
    """The size of a connection pool, per worker."""
    return Tunable(Kind.POOL, name)


def cache(name: str) -> Tunable:
    """The TTL of a cache, in seconds."""
    return Tunable(Kind.CACHE, name)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The smallest and the largest value allowed, both included."""

    minimum: float
    maximum: float

    def clamp(self, value: float) -> float:
        return min(max(value, self.minimum), self.maximum)


@dataclass(frozen=True, slots=True)
class TunableSpec:
    """What a policy says of one tunable: exactly one of `pinned` and `bounds`."""

    tunable: Tunable
    pinned: float | None = None
    bounds: Bounds | None = None
    budget: str | None = None
    """`namespace/name` of the ConnectionBudget that a pool draws from."""

    def allowed(self, value: float) -> float:
        """The value nearest to `value` within the bounds; any where there are none."""
        return self.bounds.clamp(value) if self.bounds else value


@dataclass(frozen=True, slots=True)
class Objective:
    """What the service promises its callers."""

    p95: timedelta
    error_ratio: float = 0.001
    prefer: Prefer = Prefer.LATENCY
    excluded_routes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Behavior:
    """How patient the loop is. Settle times are fractions of `interval`, so that a short one tunes fast."""

    interval: timedelta = timedelta(seconds=60)
    min_samples: int = 2000
    tolerance: float = 0.1
    cooldown: timedelta = timedelta(seconds=60)
    max_changes_per_hour: int = 20
    canary_pods: int = 1
    """How many pods try a change of workers before the others; 0: none."""

    @property
    def settle(self) -> timedelta:
        """After a change has been acked and before it is measured."""
        return self.interval / 4

    @property
    def longest_window(self) -> timedelta:
        """A window grows up to this until it holds `min_samples`."""
        return self.interval * 5


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


@dataclass(frozen=True, slots=True)
class Change:
    """One write; `old` is None where the value in force is unknown."""

    tunable: Tunable
    old: float | None
    new: float

    def __str__(self) -> str:
        old = "?" if self.old is None else self.tunable.describe(self.old)
        return f"{self.tunable} {old}→{self.tunable.describe(self.new)}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done and why. No changes: hold."""

    changes: tuple[Change, ...]
    reason: Reason
    message: str
    uncapped: tuple[Change, ...] = ()
    """What the signals alone ask for, before bounds and limits."""
    limited_by: Reason | None = None
    """The limit that made `changes` smaller than `uncapped`."""
    tuned: bool = False
    """Chosen by a law, hence verified afterwards; False for what a person or a bound demands, and for holds."""
    tried_on: tuple[str, ...] = ()
    """Uids of the pods that get the changes first; empty: all pods."""

    def common(self, values: Values) -> Values:
        """What all pods run after the decision whose common values were `values`: a trial leaves those as they are."""
        return values if self.tried_on else apply_changes(values, self.changes)

    @property
    def overrides(self) -> Mapping[str, Values]:
        """What single pods run in place of the common values, by uid."""
        return {uid: {change.tunable: change.new for change in self.changes} for uid in self.tried_on}


def apply_changes(values: Values, changes: tuple[Change, ...]) -> Values:
    """The values after the changes."""
    return {**values, **{change.tunable: change.new for change in changes}}


def differences(old: Values, new: Values) -> tuple[Change, ...]:
    """What changes between two settings: workers first, then the pools in the order of their names."""
    changed = [Change(t, old.get(t), value) for t, value in new.items() if old.get(t) != value]
    return tuple(sorted(changed, key=lambda change: (change.tunable.kind is not Kind.WORKERS, str(change.tunable))))
