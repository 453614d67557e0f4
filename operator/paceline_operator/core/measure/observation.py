"""What the fleet reported for one window, merged. What nobody reported is None or empty, never zero."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import chain
from math import inf, isfinite

from paceline_operator.core.measure.histogram import Histogram, merge
from paceline_operator.core.measure.responses import Figure, Responses, figure, judged, merged, worst
from paceline_operator.core.model.tunables import NOTHING, Tunable


@dataclass(frozen=True, slots=True)
class PoolObservation:
    """One pool over the window, all pods and workers together."""

    limit: int
    cap: int
    wait: Histogram
    hold: Histogram
    timeouts: int
    arrivals_per_worker: float
    """Checkouts a second and worker, the mean of the fleet; a second and pod of what the workers share."""


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
class PodFigures:
    """What one pod served in the window."""

    requests: int
    errors: int
    requests_per_second: float
    duration: Histogram
    responses: tuple[Responses, ...] = ()


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
    queues: Mapping[Tunable, PoolObservation] = field(default_factory=lambda: NOTHING)
    """What is waited for beside connections."""
    cpu_ratio: float | None = None
    throttled_ratio: float | None = None
    caches: Mapping[str, CacheObservation] = field(default_factory=lambda: NOTHING)
    cpu_seconds: float = 0.0
    """CPU time of all pods in the window."""
    cpu_limit: float | None = None
    """Cores of a pod, the smallest; None where none has a limit."""
    cores: int | None = None
    """Of its node that a pod may run on, the fewest; None where none says."""
    most_workers: int | None = None
    """What memory has room for in the pod that has least; None where it cannot be told."""
    turned_away: int = 0
    """Requests that pods turned away: they were wanted, but are in no other figure."""
    open: int = 0
    """Streams and WebSockets that were open at the end of the window."""
    by_waits: bool = False
    """There are streams and hardly a request: the responses are waits for connections (`core/laws/streams.py`)."""
    busiest: float | None = None
    """Requests a second and pod in the busiest minute, of a window longer than that."""
    left_out: int = 0
    """Pods that are so much slower than the others that nothing is tuned on them."""
    mix: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    """Share of the requests by route group."""
    responses: tuple[Responses, ...] = ()
    """By objective, where there are several or it is not p95; empty: `duration` is what p95 is of."""
    each: Mapping[str, PodFigures] = field(default_factory=lambda: NOTHING)
    """By pod uid, of the pods that say theirs."""

    def of(self, uids: AbstractSet[str]) -> "Observation | None":
        """What these pods served; the rest of the figures are still the fleet's. None where one of them is missing."""
        if not uids or not uids <= self.each.keys():
            return None
        found = [self.each[uid] for uid in sorted(uids)]
        return replace(
            self,
            pods=len(found),
            requests=sum(pod.requests for pod in found),
            errors=sum(pod.errors for pod in found),
            requests_per_second=sum(pod.requests_per_second for pod in found),
            duration=merge(pod.duration for pod in found),
            responses=merged(pod.responses for pod in found),
        )

    @property
    def sound(self) -> bool:
        """Whether every figure is a number that can have been measured: finite, not negative, a limit above 0."""
        histograms = chain((self.duration, self.loop_lag), *((pool.wait, pool.hold) for pool in self._queues))
        figures = (
            self.window_seconds, self.requests_per_second, self.cpu_seconds, self.cpu_ratio or 0.0,
            self.throttled_ratio or 0.0, *(pool.arrivals_per_worker for pool in self._queues),
            *(histogram.total for histogram in histograms),
        )  # fmt: skip
        limit = self.cpu_limit
        return all(isfinite(figure) and figure >= 0 for figure in figures) and (limit is None or 0 < limit < inf)

    @property
    def _queues(self) -> tuple[PoolObservation, ...]:
        return (*self.pools.values(), *self.queues.values())

    @property
    def loop_cpu_seconds(self) -> float:
        """CPU time of the workers themselves: without what process pools computed meanwhile, all the time at most."""
        return max(0.0, self.cpu_seconds - sum(queue.hold.total for queue in self.queues.values()))

    @property
    def p95(self) -> float | None:
        """Seconds, of the requests that no route's objective is about; None where nothing is known of requests."""
        return None if self.by_waits else self.by_objective[0].duration.quantile(0.95)

    @property
    def streaming(self) -> bool:
        """Whether more streams are open than requests come in a minute: most of what the service does is streams."""
        return self.by_waits or self.open > 60 * self.requests_per_second

    @property
    def by_objective(self) -> tuple[Responses, ...]:
        """The response times of each objective, the first that of all requests that no route's is about."""
        return self.responses or (Responses(self.duration),)

    @property
    def response_seconds(self) -> float | None:
        """What is compared with the objective: its percentile. Of several objectives the one that is missed by most,
        in the unit of the first."""
        found = worst(self.by_objective)
        return found.lowered(0.0) if found else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where that truly lies, with 99 % confidence; None where there were too few to tell."""
        found = [each.interval for each in judged(self.by_objective)]
        sure = [interval for interval in found if interval]
        if not sure or len(sure) < len(found):
            return None
        return max(low for low, _ in sure), max(high for _, high in sure)

    @property
    def figure(self) -> Figure:
        """What `response_seconds` is of."""
        return figure(self.by_objective)

    @property
    def commonest(self) -> Responses:
        """Of the objective that most of the requests count towards."""
        return max(self.by_objective, key=lambda each: each.duration.count)

    def lowered(self, share: float) -> float:
        """`response_seconds` at a percentile that is lower by a share of the requests."""
        return max((each.lowered(share) for each in judged(self.by_objective)), default=0.0)

    def share_within(self, seconds: float) -> float:
        """Share of the responses that come within their objective; of one without, within `seconds`."""
        within = [
            each.duration.count
            * each.duration.share_within(each.target.limit.total_seconds() if each.target else seconds)
            for each in self.by_objective
        ]
        return sum(within) / self.duration.count if self.duration.count else 1.0

    @property
    def loop_lag_p95(self) -> float | None:
        """Seconds."""
        return self.loop_lag.quantile(0.95)

    def busy(self, workers: float) -> float | None:
        """Share of the time that a loop computes, with so many in each pod; None where nobody says."""
        if not self.loop_cpu_seconds or not self.window_seconds:
            return None
        return self.loop_cpu_seconds / self.window_seconds / max(1, self.pods) / workers

    @property
    def error_ratio(self) -> float:
        return self.errors / self.requests if self.requests else 0.0
