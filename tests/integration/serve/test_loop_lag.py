"""A blocking call in a coroutine is seen in `/state`: the histogram of loop lag says how long nothing else ran."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from serving import Served, StartPod, eventually

BLOCKED_SECONDS = 3.0
LATE_SECONDS = 2.0
"""Far above what a busy machine does to an event loop."""


@pytest.fixture
def pod(start_pod: StartPod, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The reference API without its databases: it connects on first use."""
    monkeypatch.setenv("API_PITFALLS_ENABLED", "true")
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:nothing@127.0.0.1:1/none")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    return start_pod("paceline_api.app:app")


def lags_above(histogram: dict[str, Any], seconds: float) -> int:
    """Observations in buckets that begin above so many seconds."""
    base = 2 ** (2 ** -histogram["scale"])
    return sum(count for index, count in enumerate(histogram["counts"], histogram["offset"]) if base**index >= seconds)


def lags(pod: Served) -> tuple[int, int]:
    """How often the loop was late by most of the time that the route blocks, and how often it was looked at."""
    histogram = pod.state()["loopLag"]
    return lags_above(histogram, LATE_SECONDS), histogram["count"]


def test_the_mistake_moves_the_histogram_and_the_cures_do_not(pod: Served) -> None:
    before, _ = lags(pod)
    paths = [f"/pitfalls/blocking/{cure}?seconds={BLOCKED_SECONDS}" for cure in ("in-a-thread", "waiting")]
    with ThreadPoolExecutor() as threads:
        assert [status for status, _ in threads.map(pod.get, paths)] == [204, 204]
    looked = lags(pod)[1]
    eventually(lambda: lags(pod)[1] > looked, "a report from after the cures")
    assert lags(pod)[0] == before, "the loop was held up, though nothing blocked it"
    assert pod.get(f"/pitfalls/blocking?seconds={BLOCKED_SECONDS}")[0] == 204
    eventually(lambda: lags(pod)[0] > before, "the loop's lag while the call blocked it")
