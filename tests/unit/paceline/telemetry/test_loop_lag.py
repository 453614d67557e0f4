"""The loop lag probe, with a clock and a sleep of the test's own."""

import asyncio

import pytest
from paceline.telemetry.loop_lag import LoopLag


class Loop:
    """An event loop that is late by the given seconds, once each, then ends the probe."""

    def __init__(self, *late: float) -> None:
        self.now = 100.0
        self.late = list(late)

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if not self.late:
            raise asyncio.CancelledError
        self.now += seconds + self.late.pop(0)


async def run(loop: Loop) -> LoopLag:
    lag = LoopLag(clock=loop.clock, sleep=loop.sleep)
    with pytest.raises(asyncio.CancelledError):
        await lag.run()
    return lag


async def test_the_lag_is_what_a_sleep_took_longer() -> None:
    lag = await run(Loop(0.5, 0.25))
    report = lag.report()
    assert report["count"] == 2
    assert report["sum"] == pytest.approx(0.75)


async def test_waking_early_counts_as_no_lag() -> None:
    lag = await run(Loop(-0.001, -0.001))
    report = lag.report()
    assert (report["count"], report["zeroCount"], report["sum"]) == (2, 2, 0.0)


async def test_a_blocked_loop_shows() -> None:
    lag = LoopLag(interval_seconds=0.01)
    probe = asyncio.create_task(lag.run())
    await asyncio.sleep(0.02)
    before = lag.report()["sum"]
    _block(0.2)
    await asyncio.sleep(0.05)
    probe.cancel()
    assert lag.report()["sum"] - before > 0.15


def _block(seconds: float) -> None:
    import time

    time.sleep(seconds)


async def test_the_worst_lag_while_a_request_ran() -> None:
    loop = Loop(0.0, 0.5, 0.02)
    lag = await run(loop)  # at 100.1, 100.7 and 100.82; the next was due at 100.92
    assert lag.worst_since(100.0, 100.85) == pytest.approx(0.5)
    assert lag.worst_since(100.75, 100.85) == pytest.approx(0.02)
    assert lag.worst_since(100.6, 100.85) == pytest.approx(0.1), "it was late before the request came, too"
    assert lag.worst_since(100.9, 101.9) == pytest.approx(0.98), "it is late still"
    assert LoopLag().worst_since(0.0, 1.0) == 0.0
