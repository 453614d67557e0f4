"""Open-loop loads that run in a thread while a test changes things, and count what failed."""

import asyncio
import threading
from types import TracebackType
from typing import Self

from paceline.load.openloop import OpenLoop, Plan
from paceline.load.results import Summary
from paceline.load.target import parse_target

CONNECTION_SECONDS = 3.0  # so that workers and pods which come later get their share


class BackgroundLoad:
    """A context manager; `summaries` is complete after the block."""

    def __init__(self, rates: dict[str, float]) -> None:
        """`rates` are requests per second by URL."""
        self._rates = rates
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")
        self._ready = threading.Event()
        self.summaries: list[Summary] = []

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30), "the load did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for load in self._loads:
            self._loop.call_soon_threadsafe(load.stop)
        self._thread.join(60)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loads = [
            OpenLoop(Plan(parse_target(url), rate, connections=32, connection_seconds=CONNECTION_SECONDS))
            for url, rate in self._rates.items()
        ]
        self._ready.set()
        self.summaries = await asyncio.gather(*(load.run() for load in self._loads))

    def assert_nothing_failed(self) -> None:
        for summary in self.summaries:
            assert summary.total.succeeded > 0, summary.url
            assert summary.total.failures == {}, f"{summary.url}: {summary.total}"

    def __str__(self) -> str:
        return "; ".join(
            f"{item.url}: {item.total.succeeded} succeeded, {item.total.failed} failed, p95 {item.total.p95:.3f} s"
            for item in self.summaries
        )
