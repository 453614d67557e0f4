"""What pods say that differ from each other: a single one does not speak for all of them.

What a pod lacks it clamps itself, so that what four of five have is what a common value can count on.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from math import floor, inf
from typing import Final, TypeVar

from paceline_operator.core.model.tunables import Tunable

UNLIKE: Final = 0.2
"""Share of the pods whose limits may be lower than those that are counted on."""

Number = TypeVar("Number", int, float)


def of_most(found: Iterable[Number]) -> Number | None:
    """What four of five pods have at the least; None where nobody says anything.

    Worked example: 8, 8, 8, 2, 8 → 8; of four pods the least counts.
    """
    ordered = sorted(found)
    return ordered[floor(UNLIKE * len(ordered))] if ordered else None


def limit_of_most(limits: Iterable[float | None]) -> float | None:
    """The same of limits that not everybody has; None where four of five have none."""
    found = of_most(limit or inf for limit in limits)
    return None if found == inf else found


def as_most_say(
    pools: Collection[Iterable[str]], queues: Collection[Iterable[Tunable]]
) -> tuple[list[str], list[Tunable]]:
    """By pod, the names of its connection pools, and what else its requests wait for → those of the fleet.

    Where pods differ about what a name is, the fewer of them are not asked for it.
    """
    connections = Counter(name for names in pools for name in names)
    others = Counter(each for found in queues for each in found)
    shared = {each.name: pods for each, pods in others.items()}
    return (
        sorted(name for name, pods in connections.items() if pods >= shared.get(name, 0)),
        sorted(each for each, pods in others.items() if pods > connections[each.name]),
    )
