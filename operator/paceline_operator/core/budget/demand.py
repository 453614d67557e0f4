"""How much a pool is asked for: from two looks at the pods' counters."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

from paceline_operator.core.budget.curve import Demand
from paceline_operator.core.measure.pods import PodState

WINDOW: Final = timedelta(seconds=30)
"""The least time between the two looks: shorter ones are noise."""


class Tally(NamedTuple):
    """What one pod had counted of one pool, at its own time."""

    started: str
    uptime: float
    checkouts: int
    held_seconds: float


Tallies = Mapping[str, Tally]
"""By pod uid."""


def tallies(states: Mapping[str, PodState], pool: str) -> Tallies:
    """The counters of a pool, of each pod that has it."""
    return {uid: _tally(state, pool) for uid, state in states.items() if pool in state.pools}


def demand(before: Tallies, now: Tallies, workers: float) -> Demand | None:
    """What was asked for between the two looks, by the pods that lived through both; None where nobody can tell.

    Worked example: two pods of one worker, 10 s, 500 checkouts each that held 20 ms: 100 a second, 1 Erlang a worker.
    """
    ends = tuple((before[uid], tally) for uid, tally in now.items() if uid in before and _one_life(before[uid], tally))
    seconds = sum(later.uptime - earlier.uptime for earlier, later in ends)
    checkouts = sum(later.checkouts - earlier.checkouts for earlier, later in ends)
    if not ends or seconds < len(ends) * WINDOW.total_seconds() / 2 or workers < 1:
        return None
    held = sum(later.held_seconds - earlier.held_seconds for earlier, later in ends)
    rate = checkouts / seconds
    return Demand(rate * len(now), held / seconds / workers, held / checkouts if checkouts else 0.0)


def _tally(state: PodState, pool: str) -> Tally:
    counters = state.pools[pool]
    return Tally(state.started_at, state.uptime_seconds, counters.hold.count, counters.hold.total)


def _one_life(before: Tally, now: Tally) -> bool:
    steps: Iterable[tuple[float, float]] = zip(before[1:], now[1:], strict=True)
    return before.started == now.started and all(earlier <= later for earlier, later in steps)


@dataclass(frozen=True, slots=True)
class Looked:
    """The look that the next one is compared with, and what the last two told."""

    at: float
    """Seconds of a clock that never goes back."""
    tallies: Tallies
    demand: Demand | None = None

    def again(self, at: float, now: Tallies, workers: float) -> "Looked":
        """After another look, which counts once the window is over."""
        if at - self.at < WINDOW.total_seconds():
            return self
        return Looked(at, now, demand(self.tallies, now, workers))
