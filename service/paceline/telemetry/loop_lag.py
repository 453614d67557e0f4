"""How late the event loop runs what is due: the sign of a worker that is short of CPU or blocked."""

import asyncio
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

    async def run(self) -> None:
        """Measures until cancelled; one task a worker."""
        while True:
            due = self._clock() + self._interval
            await self._sleep(self._interval)
            # Event loops round timers to a millisecond and may wake early: that is no lag.
            self._histogram.record(max(0.0, self._clock() - due))

    def report(self) -> dict[str, Any]:
        """The histogram in its wire form, seconds, cumulative."""
        return self._histogram.to_json()
