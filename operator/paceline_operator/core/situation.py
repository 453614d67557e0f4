"""All that a decision rests on, as one frozen value: the policy, the fleet, the measured window, the memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from paceline_operator.core.model import NOTHING, Change, Policy, Reason, Tunable, Values
from paceline_operator.core.observe import Observation


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
    """What pods grant less of than asked, and by what."""

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

    @classmethod
    def of(cls, observation: Observation) -> "Measured | None":
        """None of a window without requests."""
        p95 = observation.p95
        if p95 is None:
            return None
        return cls(p95, observation.error_ratio, observation.requests_per_second, observation.requests)


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
    memory: Memory = field(default_factory=Memory)
    telemetry_age_seconds: float = 0.0
    """Since any pod of the target last reported."""
    held: Held | None = None
    """What a person has asked to go back to."""

    def evidence(self, text: str) -> str:
        """The text with what it was measured on: `…; n=143210, generation 17`."""
        samples = self.observation.requests if self.observation else 0
        return f"{text}; n={samples}, generation {self.fleet.generation}"
