"""What one pod reports of itself: cumulative counters, the values it runs, and how far it is with a document."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from paceline_operator.core.measure.agreed import as_most_say
from paceline_operator.core.measure.histogram import Histogram
from paceline_operator.core.model.tunables import NOTHING, Tunable, Values
from paceline_operator.core.model.values import SECTIONS


@dataclass(frozen=True, slots=True)
class RequestCounters:
    """One route group, cumulative."""

    count: int
    errors: int
    duration: Histogram


@dataclass(frozen=True, slots=True)
class PoolCounters:
    """One pool of a pod, cumulative; `limit` and `cap` are those of a worker, or of the pod, as its kind has it."""

    limit: int
    cap: int
    timeouts: int
    wait: Histogram
    hold: Histogram
    open: int = 0
    """Connections of all workers, now."""
    server_limit: int | None = None
    """The most connections that the server says it accepts; None where it does not say."""


@dataclass(frozen=True, slots=True)
class Lookups:
    """What a TTL gave, or would have given: cumulative."""

    hits: int
    misses: int


def added(found: Iterable[Lookups]) -> Lookups:
    """Those of several pods."""
    each = tuple(found)
    return Lookups(sum(lookups.hits for lookups in each), sum(lookups.misses for lookups in each))


@dataclass(frozen=True, slots=True)
class CacheCounters:
    """One cache of a pod, cumulative. `ghosts`: what other TTLs, in seconds, would have given on a sample of keys."""

    ttl_seconds: float
    lookups: Lookups
    fetch: Histogram
    ghosts: Mapping[float, Lookups] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class PodMemory:
    """Of all of a pod's processes, now; `limit_bytes` is None where there is none."""

    limit_bytes: int | None = None
    used_bytes: int = 0
    per_worker_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Cpu:
    """cgroup counters of a pod, cumulative; `limit` in cores, None where there is none."""

    limit: float | None = None
    usage_seconds: float = 0.0
    periods: int = 0
    throttled_periods: int = 0
    cores: int | None = None
    """Of its node that the pod may run on; None where it does not say."""


@dataclass(frozen=True, slots=True)
class Degraded:
    """A background task of a worker that fails and is started again."""

    task: str
    error: str


@dataclass(frozen=True, slots=True)
class PodState:
    """What one pod reports of itself, parsed."""

    started_at: str
    uptime_seconds: float
    generation: int
    digest: str | None = None
    uid: str = ""
    """As the pod knows it; overrides address pods by it."""
    pending: tuple[str, ...] = ()
    understands: bool = True
    """Whether it reads documents of `tuning/v1`."""
    clamped: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """By the tunable's name on the wire: what was asked, granted, and by what."""
    unknown: tuple[str, ...] = ()
    refused_reason: str | None = None
    refused_message: str = ""
    values: Values = field(default_factory=lambda: NOTHING)
    start_values: Values = field(default_factory=lambda: NOTHING)
    requests: Mapping[str, RequestCounters] = field(default_factory=lambda: NOTHING)
    loop_lag: Histogram = field(default_factory=Histogram)
    pools: Mapping[str, PoolCounters] = field(default_factory=lambda: NOTHING)
    caches: Mapping[str, CacheCounters] = field(default_factory=lambda: NOTHING)
    queues: Mapping[Tunable, PoolCounters] = field(default_factory=lambda: NOTHING)
    """What is waited for beside connections, such as processes."""
    unregistered: tuple[str, ...] = ()
    degraded: tuple[Degraded, ...] = ()
    """Background tasks of its workers that fail."""
    cpu: Cpu = field(default_factory=Cpu)
    memory: PodMemory = field(default_factory=PodMemory)
    turned_away: int = 0
    """Requests that the pod has turned away, cumulative; in no other count."""
    open: int = 0
    """Streams and WebSockets that are open now, in all workers."""

    @property
    def epoch(self) -> tuple[str, int]:
        """Reports compare only within one life of the pod and one generation."""
        return self.started_at, self.generation


def running_values(states: Iterable[PodState]) -> Values:
    """What the fleet runs: of each tunable the value that most pods report, the smaller one where they tie."""
    return _most_common([state.values for state in states])


def kinds(states: Iterable[PodState]) -> Mapping[Tunable, Tunable]:
    """What documents and policies cannot tell from another kind in the same section, and pods can: as it is read from
    the section → as most of the pods that know it say it is."""
    reports = tuple(states)
    _, found = as_most_say([state.pools for state in reports], [state.queues for state in reports])
    return {Tunable(SECTIONS[tunable.descriptor.section], tunable.name): tunable for tunable in found}


def start_values(states: Iterable[PodState]) -> Values:
    """What the fleet would run without a document."""
    return _most_common([state.start_values for state in states])


def _most_common(found: list[Values]) -> Values:
    tunables = sorted({tunable for values in found for tunable in values})
    return {tunable: _vote([values[tunable] for values in found if tunable in values]) for tunable in tunables}


def _vote(votes: list[float]) -> float:
    return min(sorted(votes), key=lambda value: -votes.count(value))
