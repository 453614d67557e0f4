"""Whether what is told of a policy can be told as it is, or has come and gone so often that it has to last first.

A pod that is silent in every other pass would otherwise make each of them news. Worked example: lost at 0, 14 and 28 s,
back 7 s later each time: six turns within an hour, so it counts as lost until it has been back for ten minutes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

REMEMBERED: Final = timedelta(hours=1)
MOST_TURNS: Final = 6
"""Turns within an hour, from which on a state has to last."""
LASTING: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Steady:
    """A state as it was seen last, and when it turned to another within the last hour."""

    state: tuple[str, ...] = ()
    """Empty before the first look, which is no turn."""
    turns: tuple[datetime, ...] = ()

    def seen(self, state: tuple[str, ...], now: datetime) -> "Steady":
        """After a look at it."""
        kept = tuple(turn for turn in self.turns if timedelta() <= now - turn < REMEMBERED)
        if state == self.state or not self.state:
            return Steady(state, kept)
        return Steady(state, (*kept, now)[-2 * MOST_TURNS :])

    def comes_and_goes(self, now: datetime) -> bool:
        """Whether it has turned so often, and so lately, that a good state has to last first."""
        return len(self.turns) >= MOST_TURNS and now - self.turns[-1] < LASTING
