"""What is done and why: changes of values, and the reason, in words to search for."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from paceline_operator.core.model.tunables import Kind, Tunable, Values, Verdict, in_a_pod


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
    STREAMS_ONLY = "StreamsOnly"
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
    FORBIDDEN = "Forbidden"
    QUOTA_EXCEEDED = "QuotaExceeded"
    ADMISSION_DENIED = "AdmissionDenied"
    REQUEST_REFUSED = "RequestRefused"
    FOREIGN_CONFIG_MAP = "ForeignConfigMap"
    RUNTIME_TOO_OLD = "RuntimeTooOld"
    PLATFORM_UNAVAILABLE = "PlatformUnavailable"
    RECONCILE_FAILED = "ReconcileFailed"


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
    replicas: int | None = None
    """How many pods meet the objective with room; None where it cannot be told."""
    tried_on: tuple[str, ...] = ()
    """Uids of the pods that get the changes first; empty: all pods."""
    promised: float | None = None
    """Share of p95 that the model says is gained; None where it says nothing."""

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


def growing(before: Values, after: Values) -> tuple[Tunable, ...]:
    """What a pod would have more of: workers, connections in all its workers, the longest age of a cached response.

    What is never judged costs nothing and does not count.

    | before | after | grows |
    | --- | --- | --- |
    | 4 workers of 4 connections | 2 of 8 | nothing |
    | 4 workers of 4 connections | 2 of 9 | connections: 16 → 18 |
    | TTL 60s | 90s | the TTL |
    """
    found = (tunable for tunable in after if tunable in before and tunable.descriptor.verdict is not Verdict.NONE)
    return tuple(tunable for tunable in found if in_a_pod(after, tunable) > in_a_pod(before, tunable))


def differences(old: Values, new: Values) -> tuple[Change, ...]:
    """What changes between two settings: workers first, then the pools in the order of their names."""
    changed = [Change(t, old.get(t), value) for t, value in new.items() if old.get(t) != value]
    return tuple(sorted(changed, key=lambda change: (change.tunable.kind is not Kind.WORKERS, str(change.tunable))))
