"""How long requests wait for a connection of a pool, at each size: the curve that a division walks down.

M/M/c as in `core/queueing`, each size from the one before it by Erlang's recurrence, so that a walk over hundreds of
sizes costs one multiplication each. Where the load does not fit, a straight line goes on from the first size that
carries it: a connection more is worth a second there, or whatever more the next one brings.
"""

from dataclasses import dataclass
from typing import Final

from paceline_operator.core.queueing.queueing import BURSTINESS
from paceline_operator.core.queueing.waits import FULL

LACKING_SECONDS: Final = 1.0
"""What each connection is worth that a pool lacks to carry its load."""
LARGEST: Final = 100_000


@dataclass(frozen=True, slots=True)
class Demand:
    """What was measured of a pool, over all pods of its workload."""

    rate: float
    """Checkouts a second, in all."""
    load: float
    """Connections in use of one worker, on average: its checkouts a second × seconds held."""
    hold_seconds: float


def waiting(demand: Demand, first: int, last: int, least: float) -> list[float]:
    """How many requests wait at any time, on average, with `first` connections a worker, with one more, and so on.

    It falls ever more slowly, and ends with `last`, or where a connection more saves less than `least`. Worked example:
    100 checkouts a second that wait 3 ms each: 0.3.
    """
    load, rate = demand.load * BURSTINESS, demand.rate
    stable = min(LARGEST, max(first, int(load / FULL) + 1))
    blocking = 1.0
    for size in range(1, stable + 1):
        blocking = load * blocking / (size + load * blocking)
    found: list[float] = []
    scale = rate * demand.hold_seconds
    for size in range(stable, max(last, stable + 1) + 1):
        found.append(scale * blocking / (size - load * (1 - blocking)) * size / (size - load))
        if len(found) > 1 and found[-2] - found[-1] < least:
            break
        blocking = load * blocking / (size + 1 + load * blocking)
    if first == stable:
        return found[: last - first + 1]
    slope = max(found[0] - found[1], rate * LACKING_SECONDS)
    return ([found[0] + slope * (stable - size) for size in range(first, stable)] + found)[: last - first + 1]
