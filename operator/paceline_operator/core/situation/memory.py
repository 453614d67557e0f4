"""What the loop remembers from one decision to the next; the policy's checkpoint holds it (`crd/memory.py`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import exp, sqrt
from typing import Any, Final

from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.measure.responses import SURELY, Figure
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.model.tunables import NOTHING, Values

BY_CHANCE: Final = 3.58 / 1.96 * SURELY
"""Half of the interval of a lognormal p95 (CV 1) times √n, where the window was not kept bucket by bucket."""


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
    interval: tuple[float, float] | None = None
    """Where the true p95 lies, with 99 % confidence; None where the window was too small to tell."""
    figure: Figure = field(default_factory=Figure)
    """What `p95_seconds` is of, where it is not p95 of all requests."""

    @classmethod
    def of(cls, observation: Observation) -> "Measured | None":
        """None of a window without requests."""
        seconds, seen = observation.response_seconds, observation
        if seconds is None:
            return None
        rate, interval = seen.requests_per_second, seen.interval
        return cls(seconds, seen.error_ratio, rate, seen.requests, seen.pods, seen.mix, interval, seen.figure)

    @property
    def low(self) -> float:
        """Of the interval; as of a lognormal distribution where there is none."""
        return self.interval[0] if self.interval else self.p95_seconds * exp(-BY_CHANCE / sqrt(max(1, self.samples)))

    @property
    def high(self) -> float:
        """Of the interval; as of a lognormal distribution where there is none."""
        return self.interval[1] if self.interval else self.p95_seconds * exp(BY_CHANCE / sqrt(max(1, self.samples)))

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
    voids: int = 0
    """Windows that could not be compared, because load or route mix had moved."""
    tried_on: tuple[str, ...] = ()
    """Uids of the pods that try it; empty: all pods have it."""
    template: str = ""
    """Of the pods when the change was made: what another one does is not due to the change."""
    failing: tuple[str, ...] = ()
    """Uids of the pods that were failing when the change was made: that they fail again is not due to it."""
    past: Measured | None = None
    """What the pods that try it did before; `baseline` is then what the others did."""
    promised: float | None = None
    """Share of p95 that the model said would be gained; None where it said nothing."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Values that were rolled back, or outgrown; not tried again before `until`."""

    values: Values
    until: datetime
    load: float = 0.0
    """Under which they were rolled back, in requests a second and pod; 0: whatever the load."""
    template: str = ""
    """Of the pods then; empty: whatever the pods."""
    grown: tuple[str, ...] = ()
    """What they had too little of, where they were outgrown, as `str(tunable)`; empty where they were rolled back."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Growing a tunable gained less than the model promised: what it promises of more of it is cut down."""

    seen: float
    """Share of the promise that was seen, in [0, 1]."""
    load: float
    """Requests a second and pod then: much more of them may need what these did not."""
    template: str
    until: datetime
    times: int = 1
    """How often in a row."""


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
    template: str = ""
    """Of the pods: what another one gave says nothing."""


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
    """When the next probe may be made; the gap doubles with each one that gained nothing or little."""

    failures: int = 0
    after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The worker count at which a container was killed for memory, and the pod template it was."""

    workers: float
    template: str


@dataclass(frozen=True, slots=True)
class Drowned:
    """A database that got so many queries at once that it completed fewer than were asked for."""

    connections: float
    """Of the whole fleet, all of them checked out."""
    query_seconds: float
    """Of a query then."""
    checkouts: float
    """Asked for, a second, of the whole fleet."""
    until: datetime
    """When as many may be tried again."""
    times: int = 1
    """How often it has drowned; 0 where fewer connections were tried and made things worse: they were not why."""


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many pods there were, and since when."""

    count: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Busy:
    """The busiest minute of some five minutes."""

    since: datetime
    load: float
    """Requests a second and pod."""


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
    """By pool: seconds of a query when its database was well; creeps up, so that a lasting change is accepted."""
    drowned: Mapping[str, Drowned] = field(default_factory=lambda: NOTHING)
    """By pool: the fewest connections that its database drowned in."""
    ceiling: Ceiling | None = None
    replicas: Replicas | None = None
    busy: tuple[Busy, ...] = ()
    """The busiest minutes of the last hour, oldest first: what to plan for."""
    wanted: tuple[Values, ...] = ()
    """The cheapest setting that would do, by window, the newest last."""
    doubts: Mapping[str, Doubt] = field(default_factory=lambda: NOTHING)
    """By tunable: how far the model is trusted when it promises a gain of more of it."""
    tried: str = ""
    """Uid of the last pod that tried something: the next one is another's turn."""
    first: Measured | None = None
    """The first window ever measured: what tuning has gained is told against it."""
    unknown: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
