"""All that a decision rests on, as one frozen value: the policy, the fleet, the measured window, the memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from paceline_operator.core.model import NOTHING, Change, Policy, Reason, Tunable, Values
from paceline_operator.core.observation import Observation


@dataclass(frozen=True, slots=True)
class Member:
    """One pod of the target that is not on its way out."""

    uid: str
    ready: bool = True
    applied: bool = True
    """It reports, and has acked the generation in force."""
    addressable: bool = True
    """It reports the uid that the platform knows it by, so that values of its own reach it."""
    restarts: int = 0
    out_of_memory: bool = False
    values: Values = field(default_factory=lambda: NOTHING)
    """What it runs; empty where it does not report."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The target's pods as they are now. `total` leaves terminating pods out."""

    total: int = 0
    reporting: int = 0
    applied: int = 0
    """Pods that have acked the generation of the document in force."""
    generation: int = 0
    """Of the document in force; 0 without one."""
    rolling_out: bool = False
    replicas: int = 0
    """How many pods the target asks for; 0 where it does not say."""
    template: str = ""
    """Of the pods: what a worker count was too much for may fit another."""
    restarts: int = 0
    out_of_memory: bool = False
    too_old: tuple[str, ...] = ()
    """Names of pods whose runtime does not understand `tuning/v1`."""
    shrink_blocked: str = ""
    """The message of a pod that undid a shrink; empty when none did."""
    unregistered: tuple[str, ...] = ()
    """Outbound addresses that no registered pool accounts for."""
    unknown: tuple[str, ...] = ()
    """Names in the document that no worker registered."""
    clamped: Mapping[Tunable, str] = field(default_factory=lambda: NOTHING)
    """What pods grant less of than asked, and by what; without pods on trial."""
    members: tuple[Member, ...] = ()

    @property
    def coverage(self) -> float:
        """Share of the pods that report, in [0, 1]."""
        return self.reporting / self.total if self.total else 0.0

    @property
    def converged(self) -> bool:
        return self.applied == self.total


@dataclass(frozen=True, slots=True)
class Measured:
    """What is kept of a window, to compare a later one with."""

    p95_seconds: float
    error_ratio: float
    requests_per_second: float
    samples: int
    pods: int = 1
    mix: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    """Share of the requests by route group."""

    @classmethod
    def of(cls, observation: Observation) -> "Measured | None":
        """None of a window without requests."""
        p95, seen = observation.p95, observation
        if p95 is None:
            return None
        return cls(p95, seen.error_ratio, seen.requests_per_second, seen.requests, seen.pods, seen.mix)

    @property
    def load(self) -> float:
        """Requests a second and pod."""
        return self.requests_per_second / max(1, self.pods)


@dataclass(frozen=True, slots=True)
class Pending:
    """A change that waits for its verdict. `baseline` is the window that led to it."""

    generation: int
    changes: tuple[Change, ...]
    reason: Reason
    baseline: Measured
    since: datetime
    deadline: datetime
    restarts: int = 0
    voids: int = 0
    """Windows that could not be compared, because load or route mix had moved."""
    tried_on: tuple[str, ...] = ()
    """Uids of the pods that try it, whose restarts `restarts` counts; empty: all pods have it."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Values that were rolled back, or outgrown; not tried again before `until`."""

    values: Values
    until: datetime


@dataclass(frozen=True, slots=True)
class Oversized:
    """For how many windows in a row a pool was too large, and the most connections needed in any of them."""

    windows: int
    needed: int


@dataclass(frozen=True, slots=True)
class Known:
    """What values gave under a load, in requests a second and pod; newer windows count for more."""

    values: Values
    load: float
    p95_seconds: float
    windows: int
    time: datetime


@dataclass(frozen=True, slots=True)
class Noise:
    """By how much p95 differs between windows in which nothing changed: the variance of the ratio's logarithm."""

    variance: float = 0.0
    windows: int = 0
    last: Measured | None = None
    """The window before, and the generation it ran under."""
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Probing:
    """When the next probe may be made; the gap doubles with each one that gained nothing."""

    failures: int = 0
    after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The worker count at which a container was killed for memory, and the pod template it was."""

    workers: float
    template: str


@dataclass(frozen=True, slots=True)
class Drowned:
    """A database that got so many queries at once that it answered fewer than were asked for."""

    connections: float
    """Of the whole fleet, all of them lent."""
    query_seconds: float
    """Of a query then."""
    checkouts: float
    """Asked for, a second, of the whole fleet."""
    until: datetime
    """When as many may be tried again."""
    times: int = 1
    """How often it has drowned; 0 where fewer connections were tried and made things worse: they were not why."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What the pools of a target may open together, and for how many pods that has to do in the worst case."""

    connections: int
    pods: int


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many pods there were, and since when."""

    count: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Memory:
    """All the loop remembers, kept in the policy's status. `unknown` holds what a newer operator wrote."""

    changes: tuple[datetime, ...] = ()
    """When tuned changes were made within the last hour."""
    rollbacks: tuple[datetime, ...] = ()
    """When the last few changes were taken back, oldest first."""
    pending: Pending | None = None
    last_known_good: Values = field(default_factory=lambda: NOTHING)
    rejected: tuple[Rejected, ...] = ()
    oversized: Mapping[str, Oversized] = field(default_factory=lambda: NOTHING)
    known: tuple[Known, ...] = ()
    noise: Noise = field(default_factory=Noise)
    probing: Probing = field(default_factory=Probing)
    cpu: Mapping[int, float] = field(default_factory=lambda: NOTHING)
    """CPU seconds of a request by worker count: what one more worker costs is learnt from them."""
    fastest: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    """By pool: seconds of a query when its database was well; creeps up, so that a lasting change is believed."""
    drowned: Mapping[str, Drowned] = field(default_factory=lambda: NOTHING)
    """By pool: the fewest connections that its database drowned in."""
    ceiling: Ceiling | None = None
    replicas: Replicas | None = None
    first: Measured | None = None
    """The first window ever measured: what tuning has gained is told against it."""
    unknown: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Held:
    """What a person wants in force until they say otherwise. `label` names it: `generation 5`, `baseline`."""

    label: str
    values: Values | None
    """None while they are not known: the baseline is what pods report as their start values."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What `decide` is given. `observation` is None until a whole window has been measured."""

    policy: Policy
    values: Values
    """In force: the document's, else what pods run."""
    fleet: Fleet
    now: datetime
    observation: Observation | None = None
    """Without the pods on trial."""
    trial: Observation | None = None
    """What the pods on trial reported over the same time."""
    memory: Memory = field(default_factory=Memory)
    telemetry_age_seconds: float = 0.0
    """Since any pod of the target last reported."""
    budgets: Mapping[str, Budget] = field(default_factory=lambda: NOTHING)
    """By `namespace/name`; what a policy refers to and is not here could not be read."""
    held: Held | None = None
    """What a person has asked to go back to."""

    @property
    def overloaded(self) -> bool:
        """Whether loops lag longer than a whole answer may take: then few answers are no sign of little traffic."""
        lag, objective = self.observation.loop_lag_p95 if self.observation else None, self.policy.objective
        return lag is not None and objective is not None and lag > objective.p95.total_seconds()

    def evidence(self, text: str) -> str:
        """The text with what it was measured on: `…; n=143210, generation 17`."""
        samples = self.observation.requests if self.observation else 0
        return f"{text}; n={samples}, generation {self.fleet.generation}"
