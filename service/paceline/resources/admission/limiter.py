"""Admits requests up to a limit that moves by itself, and says no to the others at once. One a worker.

The limit follows `admission_law` within the bounds of the tuning document, from what this worker measures: nothing
outside is asked, so it works with agent and operator gone. Belongs to one event loop.
"""

from collections.abc import Callable
from math import ceil
from time import perf_counter
from typing import Any, Final

from paceline.document.tunables import AdmissionValues
from paceline.resources.admission.law import Limit, Reason, Window, advance, begin, within

WINDOW_SECONDS: Final = 1.0
FEWEST_REQUESTS: Final = 50


class Admission:
    """Off until bounds are given. `admits` and `finish` are a few comparisons; the law runs once a second."""

    __slots__ = ("_bounds", "_braked", "_clock", "_durations", "_failed", "_limit", "_most", "_opened", "_start",
                 "in_flight", "on", "rejected", "room")  # fmt: skip

    def __init__(self, clock: Callable[[], float] = perf_counter, *, start: AdmissionValues | None = None) -> None:
        """`start`: the bounds where the tuning document has none."""
        self._start = start
        self.on = False
        """Whether anything is limited; the one thing that is looked at while nothing is."""
        self.room = 0
        """Requests that may be in flight."""
        self.in_flight = 0
        """Requests admitted and without a response; of a stream, up to its first byte."""
        self.rejected = 0
        self._clock = clock
        self._bounds: AdmissionValues | None = None
        self._limit: Limit | None = None
        self._braked = self._most = 0
        self._begin_window()
        self.set_bounds(None)

    def set_bounds(self, bounds: AdmissionValues | None) -> None:
        """Takes effect with the next request; None: as at the start, and what was learnt is forgotten."""
        bounds = bounds or self._start
        self._bounds, self.on = bounds, bounds is not None
        if bounds is None:
            self._limit = None
        else:
            self._adopt(begin(bounds) if self._limit is None else within(self._limit, bounds))
            self._begin_window()

    def admit(self) -> float | None:
        """When the request began, for `finish`; None: turned away."""
        if self.in_flight >= self.room:
            self.rejected += 1
            return None
        self.in_flight += 1
        self._most = max(self._most, self.in_flight)
        return self._clock()

    def finish(self, began: float, *, failed: bool) -> None:
        """The response is complete. `failed`: with 5xx, or not at all."""
        self.in_flight -= 1
        now = self._clock()
        self._durations.append(now - began)
        self._failed += failed
        if now - self._opened >= WINDOW_SECONDS and len(self._durations) >= FEWEST_REQUESTS:
            self._close_window(now)

    def report(self) -> dict[str, Any] | None:
        """The `admission` of a worker's report; None where it is off and has never turned anybody away."""
        bounds = self._bounds
        if bounds is None and not (self.rejected or self._braked):
            return None
        return {
            "limit": self.room if bounds else None,
            "min": bounds.min if bounds else None,
            "max": bounds.max if bounds else None,
            "inFlight": self.in_flight,
            "rejected": self.rejected,
            "braked": self._braked,
            "reason": self._limit.reason.value if self._limit else None,
        }

    def _close_window(self, now: float) -> None:
        if self._limit is not None and self._bounds is not None:
            durations, seconds = sorted(self._durations), now - self._opened
            window = Window(
                responses_per_second=len(durations) / seconds,
                p90_seconds=durations[ceil(0.9 * len(durations)) - 1],
                failed_ratio=self._failed / len(durations),
                in_flight=self._most,
            )
            self._adopt(advance(self._limit, window, self._bounds))
            self._braked += self._limit.reason is Reason.BRAKE
        self._begin_window()

    def _adopt(self, limit: Limit) -> None:
        self._limit, self.room = limit, int(limit.value)

    def _begin_window(self) -> None:
        self._opened = self._clock()
        self._durations: list[float] = []
        self._failed = 0
        self._most = self.in_flight
