"""How late the event loop runs what is due: the sign of a worker that is short of CPU or blocked."""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from paceline.telemetry.histogram import Histogram


class LoopLag:
    """A probe that sleeps and looks how much longer it took; seconds, 10 observations a second."""

    def __init__(
        self,
        *,
        interval_seconds: float = 0.1,
        clock: Callable[[], float] = perf_counter,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._interval = interval_seconds
        self._clock = clock
        self._sleep = sleep
        self._histogram = Histogram()
        self._due = math.inf
        self._recent: deque[tuple[float, float]] = deque(maxlen=100)

    async def run(self) -> None:
        """Measures until cancelled; one task a worker."""
        while True:
            self._due = self._clock() + self._interval
            await self._sleep(self._interval)
            now = self._clock()
            # Event loops round timers to a millisecond and may wake early: that is no lag.
            lag = max(0.0, now - self._due)
            self._histogram.record(lag)
            self._recent.append((now, lag))

    def worst_since(self, started: float, now: float) -> float:
        """Seconds that the loop was late between two moments of the clock, at the most, also where it is late still.

        Looks back over the last ten seconds.
        """
        seen = [min(lag, ended - started) for ended, lag in self._recent if ended >= started]
        return max(0.0, min(now - self._due, now - started), *seen)

    def report(self) -> dict[str, Any]:
        """The histogram in its wire form, seconds, cumulative."""
        return self._histogram.to_json()
