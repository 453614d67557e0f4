"""The busiest minute of a window that is longer than that: a mean over five minutes hides what each of them brought.

Pure: fed with each look at the fleet. Only pods of which both ends of a minute are of one life count.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from statistics import mean
from typing import Final

from paceline_operator.core.measure.pods import PodState
from paceline_operator.core.model.policy import Objective
from paceline_operator.core.model.tunables import NOTHING

MINUTE: Final = timedelta(minutes=1)
SHORTEST_TOLD: Final = 4.0
MOST_APART: Final = 3.0
"""A pod's clock that goes so many times as fast as ours, or as slow, does not tell the time. Looks take seconds."""
WHOLE: Final = 0.9
"""Looks come with jitter."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What one pod had served, and for how long it had run, at a look."""

    started_at: str
    uptime_seconds: float
    requests: int


@dataclass(frozen=True, slots=True)
class Minutes:
    """The minute that is being counted, and the busy ones so far: when each was over, in requests a second and pod."""

    began: datetime | None = None
    counts: Mapping[str, Counted] = field(default_factory=lambda: NOTHING)
    over: tuple[tuple[datetime, float], ...] = ()
    """The busiest first: none that a later one was as busy as."""

    @property
    def busiest(self) -> float:
        return self.over[0][1] if self.over else 0.0

    def seen(self, states: Mapping[str, PodState], now: datetime, objective: Objective | None = None) -> "Minutes":
        """After a look at the fleet, without the requests of routes that the objective excludes."""
        if self.began is not None and timedelta() <= now - self.began < WHOLE * MINUTE:
            return self
        counts = {uid: _counted(state, objective) for uid, state in states.items()}
        passed = now - self.began if self.began is not None else timedelta()
        found = (_rate(self.counts.get(uid), count, passed) for uid, count in counts.items())
        rates = [rate for rate in found if rate is not None]
        if not rates:
            return replace(self, began=now, counts=counts)
        rate = mean(rates)
        return Minutes(now, counts, (*(each for each in self.over if each[1] > rate), (now, rate)))

    def forgotten(self) -> "Minutes":
        """For the next window: the minute under way goes on."""
        return replace(self, over=())

    def since(self, began: datetime) -> "Minutes":
        """Without those that were over when a window began."""
        return replace(self, over=tuple(each for each in self.over if each[0] > began))


def _counted(state: PodState, objective: Objective | None) -> Counted:
    counted = (
        counters.count
        for group, counters in state.requests.items()
        if objective is None or objective.target_of(group) is not None
    )
    return Counted(state.started_at, state.uptime_seconds, sum(counted))


def keeps_time(passed: timedelta, seconds: float) -> bool:
    """Whether a pod's clock, by which so many seconds are over, can be trusted; shorter times than 4 s tell nothing.

    Worked example: of a minute a pod has seen 57 s: yes; of a minute it has seen 1 ms, or an hour: no.
    """
    ours = passed.total_seconds()
    return abs(ours) < SHORTEST_TOLD or ours / MOST_APART <= seconds <= MOST_APART * ours


def _rate(before: Counted | None, now: Counted, passed: timedelta) -> float | None:
    if before is None or before.started_at != now.started_at:
        return None
    seconds, requests = now.uptime_seconds - before.uptime_seconds, now.requests - before.requests
    if not keeps_time(passed, seconds):
        return None
    return requests / seconds if seconds > 0 and requests >= 0 else None
