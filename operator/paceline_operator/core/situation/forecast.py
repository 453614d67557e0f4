"""How much busier the next window may be: what is decided now will be in force then.

A load that rose in each of the last two windows is expected to rise once more, by the smaller of both rises: a day
comes slowly, while of ups and downs by chance few are two rises in a row, and fewer are large both times.

Worked example: 210, 230 and 250 requests a second rose by 9.5 % and 8.7 %: 272 are planned for.
"""

from itertools import pairwise
from typing import Final

from paceline_operator.core.situation.memory import Memory

KEPT: Final = 3
"""Windows whose load is remembered: two rises."""
MOST_RISE: Final = 1.25
"""What rises faster is a step or a burst, of which the past does not say how it goes on."""


def with_load(loads: tuple[float, ...], load: float) -> tuple[float, ...]:
    """The loads of the last windows with one more."""
    return (*loads, load)[-KEPT:]


def rise_of(memory: Memory) -> float:
    """The load of the next window over that of the newest, at least 1."""
    rises = [after / before for before, after in pairwise(memory.loads) if before > 0]
    if len(rises) < KEPT - 1:
        return 1.0
    return max(1.0, min(*rises, MOST_RISE))
