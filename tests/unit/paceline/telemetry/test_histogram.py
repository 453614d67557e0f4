"""Histograms stay as small as their buckets, whoever reports them, or nobody."""

import asyncio
import threading

import pytest
from paceline.resources.blocking_limiter import BlockingLimiter
from paceline.resources.limiter import Limiter
from paceline.telemetry.histogram import Histogram


def test_a_million_observations_that_nobody_reports_leave_their_buckets_only() -> None:
    histogram = Histogram()
    for number in range(1_000_000):
        histogram.record_bounded(number % 100 / 1000)
    assert len(histogram._fresh) < 10_000
    wire = histogram.to_json()
    assert (wire["count"], wire["zeroCount"]) == (1_000_000, 10_000)
    assert wire["sum"] == pytest.approx(1_000_000 * 0.0495)


def test_checkouts_of_a_pool_that_nobody_reports_grow_nothing() -> None:
    limiter = Limiter("postgres", 1)

    async def checkouts(count: int) -> None:
        for _ in range(count):
            limiter.release(await limiter.acquire())

    asyncio.run(checkouts(20_000))
    assert len(limiter.wait._fresh) + len(limiter.hold._fresh) < 10_000
    assert limiter.hold.to_json()["count"] == limiter.wait.to_json()["count"] == 20_000


def test_checkouts_by_threads_that_nobody_reports_grow_nothing() -> None:
    limiter = BlockingLimiter("orders", 8)

    def checkouts() -> None:
        for _ in range(5_000):
            limiter.release(limiter.acquire())

    threads = [threading.Thread(target=checkouts) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(limiter.wait._fresh) + len(limiter.hold._fresh) < 10_000
    assert limiter.hold.to_json()["count"] == limiter.wait.to_json()["count"] == 20_000
