"""What may go wrong in a scenario, and when. Faults count in intervals from 0."""

from typing import Final, Literal

from pydantic import Field

from paceline_operator.simulation.units import Part, Seconds

FaultKind = Literal[
    "telemetry-loss",
    "telemetry-frozen",
    "telemetry-noise",
    "slow-database",
    "slow-pod",
    "noisy-neighbour",
    "broken-pods",
    "restarts",
    "replicas",
    "max-connections",
    "cold-cache",
    "operator-restart",
    "rollout",
    "deploy",
]
MOMENTARY: Final = frozenset({"operator-restart", "rollout", "restarts", "cold-cache"})


class FaultPart(Part):
    """One fault. Which of its figures count depends on the kind.

    | kind | figures | what happens |
    | --- | --- | --- |
    | `slow-database` | `factor` | queries take so many times as long |
    | `slow-pod` | `pods`, `factor` | requests of these pods take so many times the CPU time |
    | `noisy-neighbour` | `pods`, `delay` | a loop of these pods that wakes waits for a core, `delay` on average |
    | `broken-pods` | `pods` | these serve and report nothing: they are pending, or keep crashing |
    | `restarts` | `pods` | a container of these pods ends in the middle of the interval and is started again |
    | `cold-cache` | `share` | so many of the hits are misses |
    | `deploy` | `factor` | new pods, of a template whose requests take so many times the CPU time |
    """

    kind: FaultKind
    start: int = Field(default=0, alias="from", ge=0)
    until: int | None = Field(default=None, ge=0)
    """The first interval without it; absent: to the end, for what is momentary one interval."""
    share: float = Field(default=0.3, ge=0, le=1)
    ratio: float = Field(default=0.05, ge=0)
    factor: float = Field(default=3.0, gt=0)
    pods: int = Field(default=1, ge=1)
    count: int = Field(default=1, ge=1)
    delay: Seconds = Field(default=0.005, gt=0)

    def active(self, interval: int) -> bool:
        end = self.until if self.until is not None else self.start + 1 if self.kind in MOMENTARY else interval + 1
        return self.start <= interval < end
