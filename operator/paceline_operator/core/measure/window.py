"""Where each pod's measuring window began. Pure: a window is advanced with each look at the fleet.

A pod's window begins once it has run one generation, with nothing pending, for the settle time. A new life of the pod,
a new generation or something pending voids it.

Beside it goes a short one, of a twelfth of the interval, while the fleet is watched closely: from the first look on,
and for as long as the service is swamped (`core/laws/swamped.py`). It begins after as short a time to settle, and anew
with each look that found it whole. Worked example, interval 60 s: looks at 0 and 5 s; pods that have acked a step by
6 s are looked at again from 11 to 16 s; the first calm look ends it, and whole windows of 60 s go on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from paceline_operator.core.measure.busiest import MINUTE, Minutes, keeps_time
from paceline_operator.core.measure.observe import PodWindow
from paceline_operator.core.measure.pods import PodState
from paceline_operator.core.model.tunables import NOTHING

WHOLE: Final = 0.9
"""A window of this share of the interval is whole: passes come with jitter."""
SHORT_SHARE: Final = 1 / 12
SHORTEST: Final = timedelta(seconds=5)
LONGEST: Final = timedelta(seconds=10)
WORTHWHILE: Final = 4
"""So many short windows an interval must hold, for one of them to be worth a look of its own."""


def short_window(interval: timedelta) -> timedelta | None:
    """How long a short window is, and what it waits for before; None where the interval is short itself.

    Worked example: 5 s of 60 s, and of 30 s, 10 s of 5 minutes, none of 15 s.
    """
    length = min(max(SHORT_SHARE * interval, SHORTEST), LONGEST)
    return length if WORTHWHILE * length <= interval else None


@dataclass(frozen=True, slots=True)
class Mark:
    """One pod: since when it has run this epoch, and the report that its window began with."""

    epoch: tuple[str, int]
    since: datetime
    before: PodState | None = None
    began: datetime | None = None
    short: PodState | None = None
    """The report that the short window began with, and when that was."""
    short_began: datetime | None = None

    def keeps_time(self, state: PodState, now: datetime) -> bool:
        """Whether the pod's clock goes about as fast as ours. Where one of them has jumped, or stands, a rate of
        requests would be of no time that has passed. A report that is not new says nothing of it."""
        return all(
            keeps_time(now - began, state.uptime_seconds - report.uptime_seconds)
            for report, began in ((self.before, self.began), (self.short, self.short_began))
            if report is not None and began is not None and report.started_at == state.started_at
            if report.uptime_seconds != state.uptime_seconds
        )

    def whole(self, now: datetime, interval: timedelta) -> bool:
        return self.began is not None and now - self.began >= WHOLE * interval

    def short_whole(self, now: datetime, length: timedelta) -> bool:
        return self.short_began is not None and now - self.short_began >= WHOLE * length


@dataclass(frozen=True, slots=True)
class Window:
    """The fleet's windows by pod uid. `decided` is when the last decision fell."""

    marks: Mapping[str, Mark] = field(default_factory=lambda: NOTHING)
    decided: datetime | None = None
    not_before: datetime | None = None
    """When a window that held too few samples is looked at again."""
    minutes: Minutes = field(default_factory=Minutes)
    close: timedelta | None = None
    """How long short windows are; None while there are none."""

    def watched(self, interval: timedelta, *, closely: bool) -> "Window":
        """With short windows, or without."""
        close = short_window(interval) if closely else None
        return self if close == self.close else replace(self, close=close)

    def advanced(self, states: Mapping[str, PodState], now: datetime, settle: timedelta) -> "Window":
        """After a look at the fleet. Where our own clock was set back, all begins anew."""
        if self.decided is not None and self.decided - now > SHORTEST:
            return Window(close=self.close).advanced(states, now, settle)
        marks = {uid: self._mark(uid, state, now, settle) for uid, state in states.items() if not state.pending}
        return replace(self, marks=marks, minutes=self.minutes.since(_oldest(marks, now)))

    def _mark(self, uid: str, state: PodState, now: datetime, settle: timedelta) -> Mark:
        mark = self.marks.get(uid)
        if mark is not None and not mark.keeps_time(state, now):
            mark = Mark(state.epoch, now)
        if mark is None or mark.epoch != state.epoch:
            # A pod first seen at a start of the operator may have settled long ago; one seen changing has not.
            age = timedelta() if self.decided else timedelta(seconds=state.uptime_seconds)
            mark = Mark(state.epoch, now - age)
        if mark.before is None and now - mark.since >= settle:
            mark = replace(mark, before=state, began=now)
        if self.close is None:
            return mark if mark.short is None else replace(mark, short=None, short_began=None)
        if mark.short is None and now - mark.since >= self.close:
            mark = replace(mark, short=state, short_began=now)
        return mark

    def due(self, now: datetime, interval: timedelta, pods: float) -> bool:
        """Whether a decision is due: nearly all of `pods` have a whole window, or none fell for three intervals."""
        if self.decided is None or now - self.decided >= 3 * interval:
            return True
        whole = sum(1 for mark in self.marks.values() if mark.whole(now, interval))
        return 0 < WHOLE * pods <= whole and (self.not_before is None or now >= self.not_before)

    def short_due(self, now: datetime, pods: float) -> bool:
        """Whether nearly all of `pods` have a whole short window."""
        if self.close is None:
            return False
        whole = sum(1 for mark in self.marks.values() if mark.short_whole(now, self.close))
        return 0 < WHOLE * pods <= whole

    def short_windows(self, states: Mapping[str, PodState], now: datetime) -> tuple[PodWindow, ...]:
        """The same of the short windows."""
        return tuple(
            PodWindow(mark.short, states[uid])
            for uid, mark in self.marks.items()
            if mark.short is not None and uid in states and self.close and mark.short_whole(now, self.close)
        )

    def glanced(self, states: Mapping[str, PodState], now: datetime) -> "Window":
        """After a look that found the short windows whole: they begin anew, and the others go on."""
        marks = {
            uid: replace(mark, short=states[uid], short_began=now) if mark.short and uid in states else mark
            for uid, mark in self.marks.items()
        }
        return replace(self, marks=marks)

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
        return Window(marks, now, minutes=self.minutes.forgotten(), close=self.close)

    def extended(self, now: datetime, interval: timedelta, longest: timedelta) -> "Window":
        """After a decision that found too few samples: the window goes on, up to `longest`."""
        marks = {uid: mark for uid, mark in self.marks.items() if not mark.began or now - mark.began < longest}
        return Window(marks, now, now + WHOLE * interval, self.minutes.since(_oldest(marks, now)), self.close)

    def next_look(self, now: datetime, settle: timedelta, interval: timedelta) -> timedelta:
        """Until a pod has settled or a window is whole, or a minute is over, but not at once again."""
        looks = [
            mark.since + settle if mark.began is None else max(mark.began + interval, self.not_before or mark.began)
            for mark in self.marks.values()
        ]
        if self.close is not None:
            looks += [(mark.short_began or mark.since) + self.close for mark in self.marks.values()]
        soonest = min((look for look in looks if look > now), default=now + interval / 4)
        return max(min(soonest - now, MINUTE), interval / 20)


def _oldest(marks: Mapping[str, Mark], now: datetime) -> datetime:
    """When the oldest window began, or its pod began to settle: minutes before are of no window."""
    return min((mark.began or mark.since for mark in marks.values()), default=now)
