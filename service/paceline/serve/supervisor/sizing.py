"""`--workers auto`: a worker for each core that the pod may use, which is counted once, when the pod starts.

| CPU limit | cores of the node for this process | cap | workers |
| --- | --- | --- | --- |
| 2 | 64 | 16 | 2 |
| 1500m | 64 | 16 | 2: a second one uses what the first leaves |
| 500m | 64 | 16 | 1 |
| none | 4 | 16 | 4 |
| none | 64 | 16 | 16 |
| 4 | 2 | 16 | 2 |

Memory is not counted here: nobody knows what a worker takes before one runs. Where it is limited the pod starts with
one worker, and the agent adds the others one by one while there is room for what the heaviest takes.
"""

from dataclasses import dataclass
from math import ceil

from paceline.telemetry.cgroup import Cgroup

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Sizing:
    """How many workers, how many of them at once (None: all), and why, for the start line."""

    workers: int
    at_once: int | None
    why: str


def sized(cgroup: Cgroup | None, cores: int, cap: int) -> Sizing:
    """What `auto` comes to. Where the kernel's files cannot be read, nothing is limited.

    Args:
        cgroup: this pod's.
        cores: of the node, that this process may run on.
        cap: the most workers that are allowed, whoever asks.
    """
    limit, memory = _cpu_limit(cgroup), _memory_limit(cgroup)
    usable = cores if limit is None else min(cores, max(1, ceil(limit)))
    workers = min(usable, cap)
    why = f"{cores} cores, no CPU limit" if limit is None else f"CPU limit {limit:g}, {cores} cores"
    if workers < usable:
        why += f", PACELINE_MAX_WORKERS {cap}"
    if memory is None or workers == 1:
        return Sizing(workers, None, why)
    return Sizing(workers, 1, f"{why}; one at first, the others as {memory / 2**20:.0f} MiB of memory have room")


def _cpu_limit(cgroup: Cgroup | None) -> float | None:
    try:
        return cgroup.cpu().limit_cores if cgroup is not None else None
    except (OSError, ValueError, KeyError):
        return None


def _memory_limit(cgroup: Cgroup | None) -> int | None:
    try:
        return cgroup.memory().limit_bytes if cgroup is not None else None
    except (OSError, ValueError, KeyError):
        return None
