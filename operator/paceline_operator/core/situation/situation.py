"""All that a decision rests on, as one frozen value: the policy, the fleet, the measured window, the memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.policy import DEFAULT_ERROR_RATIO, Policy
from paceline_operator.core.model.tunables import NOTHING, Tunable, Values
from paceline_operator.core.situation.memory import Memory

LEAST_COVERAGE: Final = 0.8
"""Share of the pods that must report and have acked what is in force, for a decision."""
MOST_UNSEEN: Final = 0.1
"""Share of the pods that may serve and do not report, beyond which nothing shrinks."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The last time that a container of a pod ended and was started again."""

    container: str
    finished: datetime
    """By the clock of its node."""
    restarts: int = 1
    """So far, this one included."""
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """One pod of the target that is not on its way out."""

    uid: str
    ready: bool = True
    applied: bool = True
    """It reports, and has acked the generation in force."""
    addressable: bool = True
    """It reports the uid that the platform knows it by, so that values of its own reach it."""
    ended: tuple[Ended, ...] = ()
    """By container; empty while none has ended."""
    values: Values = field(default_factory=lambda: NOTHING)
    """What it runs; empty where it does not report."""
    name: str = ""
    generation: int | None = None
    """Of the document that it runs; None where it does not report."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A pod that is not counted on, by name: a reason in one word, and a sentence."""

    name: str
    reason: str
    message: str


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
    too_old: tuple[str, ...] = ()
    """Names of pods whose runtime does not understand `tuning/v1`."""
    shrink_blocked: str = ""
    """The message of a pod that undid a shrink; empty when none did."""
    unregistered: tuple[str, ...] = ()
    """Outbound addresses that no registered pool accounts for."""
    cannot_tune: str = ""
    """A pod whose worker does not follow new values, and why; empty when all do."""
    cannot_measure: str = ""
    """A pod whose worker misses measures, which, and why; empty when none does."""
    unknown: tuple[str, ...] = ()
    """Names in the document that no worker registered."""
    clamped: Mapping[Tunable, str] = field(default_factory=lambda: NOTHING)
    """What pods grant less of than asked, and by what; without pods on trial."""
    clamped_by_few: Mapping[Tunable, str] = field(default_factory=lambda: NOTHING)
    """The same of what a fifth of the pods or fewer clamp, who have reasons of their own."""
    members: tuple[Member, ...] = ()
    idle: int = 0
    """Pods that serve nobody: they are pending, or their container keeps failing."""
    newcomers: int = 0
    """Pods that have not lived for a whole window yet."""
    left_out: tuple[LeftOut, ...] = ()
    """Pods of the target that do not report or have not acked, and strangers that carry its labels."""
    lacks: tuple[str, ...] = ()
    """What the pods lack to be tuned or to end without losing a request, as sentences."""

    @property
    def coverage(self) -> float:
        """Share of the pods that report, in [0, 1]."""
        return self.reporting / self.total if self.total else 0.0

    @property
    def converged(self) -> bool:
        """Whether every pod has acked the document in force."""
        return self.applied == self.total

    def may_shrink(self, seen: int) -> bool:
        """Whether so few of the pods that may serve are unseen, a tenth, that what the others need holds for them."""
        return seen >= (1 - MOST_UNSEEN) * (self.total - self.idle)

    @property
    def sound(self) -> bool:
        """Whether enough pods have acked it to decide on: the others are left out, by name."""
        return self.applied >= LEAST_COVERAGE * self.total


@dataclass(frozen=True, slots=True)
class Budget:
    """What the pools of a target may open together, and for how many pods that has to do in the worst case."""

    connections: int
    pods: int


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
    several_loads: Observation | None = None
    """A window that is in `observation` no longer: it went on for long and met several loads."""
    memory: Memory = field(default_factory=Memory)
    telemetry_age_seconds: float = 0.0
    """Since any pod of the target last reported."""
    short: bool = False
    """The window is one of a few seconds: it counts only where the service is swamped (`core/laws/swamped.py`)."""
    budgets: Mapping[str, Budget] = field(default_factory=lambda: NOTHING)
    """By `namespace/name`; what a policy refers to and is not here could not be read."""
    enough: bool = False
    """The policy prefers cost, and its objective is met with room (`core/situation/room.py`): nothing grows."""
    held: Held | None = None
    """What a person has asked to go back to."""

    @property
    def as_measured(self) -> "Situation":
        """With a window of several loads: nothing is tuned by it, but what goes wrong in it goes wrong."""
        return self if self.several_loads is None else replace(self, observation=self.several_loads)

    @property
    def overloaded(self) -> bool:
        """Whether loops lag longer than a whole response may take: then few responses are no sign of little traffic."""
        lag, objective = self.observation.loop_lag_p95 if self.observation else None, self.policy.objective
        return lag is not None and objective is not None and lag > objective.limit.total_seconds()

    @property
    def allowed_error_ratio(self) -> float:
        """What the objective allows; without one, what it allows by default."""
        objective = self.policy.objective
        return DEFAULT_ERROR_RATIO if objective is None else objective.error_ratio

    def evidence(self, text: str) -> str:
        """The text with what it was measured on: `…; n=143210, generation 17`."""
        samples = self.observation.requests if self.observation else 0
        return f"{text}; n={samples}, generation {self.fleet.generation}"
