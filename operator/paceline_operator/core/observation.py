"""What the fleet reported for one window, merged. What nobody reported is None or empty, never zero."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from paceline_operator.core.histogram import Histogram
from paceline_operator.core.model import NOTHING


@dataclass(frozen=True, slots=True)
class PoolObservation:
    """One pool over the window, all pods and workers together."""

    limit: int
    cap: int
    wait: Histogram
    hold: Histogram
    timeouts: int
    arrivals_per_worker: float
    """Checkouts a second and worker, the mean of the fleet."""


@dataclass(frozen=True, slots=True)
class CacheObservation:
    """One cache over the window, all pods together."""

    lookups: int
    hit_ratio: float | None
    """At the TTL in force; None without a lookup."""
    ghosts: Mapping[float, float] = field(default_factory=lambda: NOTHING)
    """By TTL in seconds: the hit ratio it would have given, on a sample of the keys."""
    ghost_lookups: int = 0
    """Lookups in the sample, of one ghost TTL."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the fleet reported for one window, merged. What nobody reported is None or empty, never zero."""

    pods: int
    window_seconds: float
    requests: int
    errors: int
    requests_per_second: float
    duration: Histogram
    loop_lag: Histogram
    pools: Mapping[str, PoolObservation] = field(default_factory=lambda: NOTHING)
    cpu_ratio: float | None = None
    throttled_ratio: float | None = None
    caches: Mapping[str, CacheObservation] = field(default_factory=lambda: NOTHING)
    cpu_seconds: float = 0.0
    """CPU time of all pods in the window."""
    cpu_limit: float | None = None
    """Cores of a pod, the smallest; None where none has a limit."""
    most_workers: int | None = None
    """What memory has room for in the pod that has least; None where it cannot be told."""
    left_out: int = 0
    """Pods that are so much slower than the others that nothing is tuned on them."""
    mix: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    """Share of the requests by route group."""

    @property
    def p95(self) -> float | None:
        """Seconds."""
        return self.duration.quantile(0.95)

    @property
    def loop_lag_p95(self) -> float | None:
        """Seconds."""
        return self.loop_lag.quantile(0.95)

    def busy(self, workers: float) -> float | None:
        """Share of the time that a loop computes, with so many in each pod; None where nobody says."""
        if not self.cpu_seconds or not self.window_seconds:
            return None
        return self.cpu_seconds / self.window_seconds / max(1, self.pods) / workers

    @property
    def error_ratio(self) -> float:
        return self.errors / self.requests if self.requests else 0.0
