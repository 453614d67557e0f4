"""Where each pod's measuring window began. Pure: a window is advanced with each look at the fleet.

A pod's window begins once it has run one generation, with nothing pending, for the settle time. A new life of the pod,
a new generation or something pending voids it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from paceline_operator.core.measure.busiest import MINUTE, Minutes
from paceline_operator.core.measure.observe import PodWindow
from paceline_operator.core.measure.pods import PodState
from paceline_operator.core.model.tunables import NOTHING

WHOLE: Final = 0.9
"""A window of this share of the interval is whole: passes come with jitter."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One pod: since when it has run this epoch, and the report that its window began with."""

    epoch: tuple[str, int]
    since: datetime
    before: PodState | None = None
    began: datetime | None = None

    def whole(self, now: datetime, interval: timedelta) -> bool:
        return self.began is not None and now - self.began >= WHOLE * interval


@dataclass(frozen=True, slots=True)
class Window:
    """The fleet's windows by pod uid. `decided` is when the last decision fell."""

    marks: Mapping[str, Mark] = field(default_factory=lambda: NOTHING)
    decided: datetime | None = None
    not_before: datetime | None = None
    """When a window that held too few samples is looked at again."""
    minutes: Minutes = field(default_factory=Minutes)

    def advanced(self, states: Mapping[str, PodState], now: datetime, settle: timedelta) -> "Window":
        """After a look at the fleet."""
        marks = {uid: self._mark(uid, state, now, settle) for uid, state in states.items() if not state.pending}
        return replace(self, marks=marks)

    def _mark(self, uid: str, state: PodState, now: datetime, settle: timedelta) -> Mark:
        mark = self.marks.get(uid)
        if mark is None or mark.epoch != state.epoch:
            # A pod first seen at a start of the operator may have settled long ago; one seen changing has not.
            age = timedelta() if self.decided else timedelta(seconds=state.uptime_seconds)
            mark = Mark(state.epoch, now - age)
        if mark.before is None and now - mark.since >= settle:
            mark = replace(mark, before=state, began=now)
        return mark

    def due(self, now: datetime, interval: timedelta, pods: float) -> bool:
        """Whether a decision is due: nearly all of `pods` have a whole window, or none fell for three intervals."""
        if self.decided is None or now - self.decided >= 3 * interval:
            return True
        whole = sum(1 for mark in self.marks.values() if mark.whole(now, interval))
        return 0 < WHOLE * pods <= whole and (self.not_before is None or now >= self.not_before)

    def pod_windows(self, states: Mapping[str, PodState], now: datetime, interval: timedelta) -> tuple[PodWindow, ...]:
        """The whole windows of pods that still report."""
        return tuple(
            PodWindow(mark.before, states[uid])
            for uid, mark in self.marks.items()
            if mark.before is not None and uid in states and mark.whole(now, interval)
        )

    def begun_anew(self, states: Mapping[str, PodState], now: datetime) -> "Window":
        """After a decision that used the window."""
        marks = {
            uid: replace(mark, before=states[uid], began=now) if mark.began and uid in states else mark
            for uid, mark in self.marks.items()
        }
        return Window(marks, now, minutes=self.minutes.forgotten())

    def extended(self, now: datetime, interval: timedelta, longest: timedelta) -> "Window":
        """After a decision that found too few samples: the window goes on, up to `longest`."""
        marks = {uid: mark for uid, mark in self.marks.items() if not mark.began or now - mark.began < longest}
        return Window(marks, now, now + WHOLE * interval, self.minutes)

    def next_look(self, now: datetime, settle: timedelta, interval: timedelta) -> timedelta:
        """Until a pod has settled or a window is whole, or a minute is over, but not at once again."""
        looks = [
            mark.since + settle if mark.began is None else max(mark.began + interval, self.not_before or mark.began)
            for mark in self.marks.values()
        ]
        soonest = min((look for look in looks if look > now), default=now + interval / 4)
        return max(min(soonest - now, MINUTE), interval / 20)
