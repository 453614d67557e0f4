"""What the order of a change is decided on: the pod's processes and its memory at one moment. Frozen values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

MEMORY_RATIO: Final = 0.9
"""Share of the memory limit that workers may fill; the rest is for growth under load."""


@dataclass(frozen=True, slots=True)
class PoolUse:
    """Connections of one pool in one worker; or of a pool whose size counts per pod, the calls that a worker runs."""

    in_use: int
    open: int
    per_pod: bool = False


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process that has not gone yet, as it last reported; step 0: it has not read what to run."""

    pid: int
    step: int
    reported: float
    ready: bool
    draining: bool = False
    pools: Mapping[str, PoolUse] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Memory:
    """The pod's memory; `per_worker_bytes` is what one more worker will take, None before any was measured."""

    limit_bytes: int | None
    used_bytes: int
    per_worker_bytes: int | None

    def has_room(self) -> bool:
        """Whether one more worker fits: used + one worker ≤ 0.9 × limit. 500 + 60 of 600 MB: 560 > 540, no."""
        needed = self.used_bytes + (self.per_worker_bytes or 0)
        return self.limit_bytes is None or needed <= MEMORY_RATIO * self.limit_bytes


@dataclass(frozen=True, slots=True)
class PodSnapshot:
    """What a step is decided on. `workers` holds every process, draining ones included."""

    workers: Sequence[Worker]
    memory: Memory
    now: float
    shrink_deadline_seconds: float
