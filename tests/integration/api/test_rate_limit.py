"""GET /api/data: so many a window for one client, whatever worker or pod answers, in one Valkey."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from paceline_api.settings import Settings
from paceline_api.windows import Quota, Windows
from pydantic import SecretStr
from redis.asyncio import Redis
from reference_api import Start
from serving import Served, eventually, serve_command, serving


@pytest.fixture(autouse=True)
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    """Nothing counted yet."""
    async with Redis.from_url(valkey_url, driver_info=None) as client:
        await client.flushdb()
        await client.config_resetstat()
        yield client


def limited(settings: Settings, **values: Any) -> Settings:
    update = {"timeout_seconds": 20.0, **values}
    return settings.model_copy(update={"rate_limit": settings.rate_limit.model_copy(update=update)})


async def statuses(client: httpx2.AsyncClient, count: int) -> "Counter[int]":
    """Of so many requests, all at once."""
    responses = await asyncio.gather(*(client.get("/api/data") for _ in range(count)))
    return Counter(response.status_code for response in responses)


async def test_a_hundred_a_minute(start: Start, settings: Settings) -> None:
    async with start(limited(settings)) as client:
        assert await statuses(client, 130) == {200: 100, 429: 30}


async def test_the_client_knows_where_it_stands(start: Start, settings: Settings) -> None:
    async with start(limited(settings, requests=2)) as client:
        first, second, third = [await client.get("/api/data") for _ in range(3)]
    assert first.headers["ratelimit-policy"] == '"api";q=2;w=60'
    assert first.headers["ratelimit"] == '"api";r=1;t=60'
    assert re.fullmatch(r'"api";r=0;t=\d+', second.headers["ratelimit"])
    assert "retry-after" not in second.headers
    assert third.status_code == 429
    seconds = third.headers["retry-after"]
    assert 1 <= int(seconds) <= 60
    assert third.headers["ratelimit"] == f'"api";r=0;t={seconds}'
    assert third.json() == {
        "error": "TooManyRequests",
        "detail": f"more than 2 requests in 60 s; try again in {seconds} s",
        "request_id": third.headers["x-request-id"],
    }


async def test_a_new_window_starts_full(start: Start, settings: Settings, redis: Redis) -> None:
    async with start(limited(settings, requests=1, window_seconds=1)) as client:
        assert await statuses(client, 3) == {200: 1, 429: 2}
        for _ in range(400):
            if (await client.get("/api/data")).status_code == 200:
                return
            await asyncio.sleep(0.05)
        pytest.fail("still refused after 20 s")


async def test_the_rest_of_the_api_is_not_counted(start: Start, settings: Settings) -> None:
    async with start(limited(settings, requests=1)) as client:
        for _ in range(3):
            response = await client.get("/products")
            assert response.status_code == 200
            assert "ratelimit" not in response.headers


async def test_a_full_window_is_not_asked_for_again(start: Start, settings: Settings, redis: Redis) -> None:
    async with start(limited(settings, requests=1)) as client:
        await statuses(client, 2)
        calls = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
        assert await statuses(client, 20) == {429: 20}
        assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == calls


async def test_hits_that_come_together_are_counted_together(redis: Redis) -> None:
    windows = Windows(redis, Quota("together", 30, 60))
    verdicts = await asyncio.gather(*(windows.hit("key") for _ in range(50)))
    assert [verdict.remaining for verdict in verdicts] == [*range(29, -1, -1), *[0] * 20]
    assert [verdict.admitted for verdict in verdicts] == [True] * 30 + [False] * 20
    assert int(await redis.get("limits:together/key/30/60/second")) == 50
    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] <= 3


async def test_hits_of_many_clients_that_come_together_are_one_round_trip(redis: Redis) -> None:
    windows = Windows(redis, Quota("crowd", 2, 60))
    await windows.hit("first of all")  # Redis knows the script now
    await redis.config_resetstat()
    before = (await redis.info("stats"))["total_reads_processed"]
    for remaining, admitted in ((1, True), (0, True), (0, False)):
        verdicts = await asyncio.gather(*(windows.hit(f"client {number}") for number in range(20)))
        assert {(verdict.remaining, verdict.admitted) for verdict in verdicts} == {(remaining, admitted)}
    assert (await redis.info("stats"))["total_reads_processed"] - before <= 10, "60 hits, 40 of them asked for"
    stats = await redis.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 40, "a full window is not asked for"
    assert stats["cmdstat_pttl"]["calls"] == 20, "its end is known from the second hit on"


async def test_a_redis_that_started_anew_is_told_the_script(redis: Redis) -> None:
    windows = Windows(redis, Quota("restarted", 5, 60))
    await windows.hit("key")
    await redis.script_flush()
    assert (await windows.hit("key")).remaining == 3


@pytest.mark.parametrize("gives_up", [0, 1, 2])
async def test_a_caller_that_gives_up_leaves_the_others_alone(redis: Redis, gives_up: int) -> None:
    windows = Windows(redis, Quota("impatient", 30, 60))
    hits = [asyncio.create_task(windows.hit("key")) for _ in range(3)]
    await asyncio.sleep(0)
    hits[gives_up].cancel()
    others = [hit for number, hit in enumerate(hits) if number != gives_up]
    assert [(await hit).admitted for hit in others] == [True, True]
    assert (await windows.hit("key")).admitted


async def test_counting_that_was_cancelled_starts_again_and_lets_nobody_wait(redis: Redis) -> None:
    windows = Windows(redis, Quota("api", 5, 60))
    await redis.client_pause(10_000, all=False)
    waiting = asyncio.create_task(windows.hit("a"))
    while windows._counting is None:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    windows._counting.cancel()
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(waiting, 5)
    await redis.client_unpause()
    assert (await asyncio.wait_for(windows.hit("b"), 5)).admitted


@pytest.mark.parametrize(("fail_open", "status"), [(True, 200), (False, 503)])
@pytest.mark.parametrize("kind", ["closed_port", "silent_port"])
async def test_without_redis_the_setting_decides(
    start: Start, settings: Settings, request: pytest.FixtureRequest, kind: str, fail_open: bool, status: int
) -> None:
    port = request.getfixturevalue(kind)
    redis = settings.redis.model_copy(update={"url": SecretStr(f"redis://127.0.0.1:{port}/0")})
    changed = limited(settings.model_copy(update={"redis": redis}), fail_open=fail_open, timeout_seconds=0.1)
    async with start(changed) as client:
        response = await client.get("/api/data")
    assert response.status_code == status
    assert "ratelimit" not in response.headers
    if status == 503:
        assert (response.headers["retry-after"], response.json()["error"]) == ("1", "Unavailable")


async def test_a_worker_that_comes_late_knows_when_the_window_ends(redis: Redis) -> None:
    quota = Quota("late", 3, 60)
    first, late = Windows(redis, quota), Windows(redis, quota)
    await first.hit("key")
    await redis.expire("limits:late/key/3/60/second", 20)
    verdict = await late.hit("key")
    assert (verdict.admitted, verdict.remaining) == (True, 1)
    assert 15 <= verdict.reset_seconds <= 20


async def test_a_window_forgotten_starts_anew(redis: Redis) -> None:
    windows = Windows(redis, Quota("forgotten", 1, 60))
    assert [(await windows.hit("key")).admitted for _ in range(2)] == [True, False]
    await windows.forget("key")
    assert (await windows.hit("key")).admitted


async def test_memory_is_bounded_however_many_clients_come(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paceline_api.windows.MAX_REMEMBERED", 5)
    windows = Windows(redis, Quota("many", 1, 60))
    for number in range(20):
        await windows.hit(str(number))
    assert len(windows._known) == 5
    assert not (await windows.hit("0")).admitted, "what is not remembered is asked for"


@pytest.fixture
def pods(settings: Settings, tmp_path: Path) -> Iterator[list[Served]]:
    """Two pods of two workers each, with one Valkey."""
    environment = {
        "DATABASE_URL": settings.postgres.url.get_secret_value(),
        "REDIS_URL": settings.redis.url.get_secret_value(),
        "API_RATE_LIMIT_TIMEOUT_SECONDS": "20",
        "PACELINE_WORKERS": "2",
    }
    with ExitStack() as stack:
        started = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            command = serve_command("paceline_api.app:app")
            started.append(stack.enter_context(serving(command, tmp_path / name, environment)))
        for pod in started:
            eventually(lambda pod=pod: pod.ended() or pod.management("/readyz") == 200, "the pod is ready", 60)
            eventually(lambda pod=pod: len(pod.ready_workers()) == 2, "both workers are ready", 60)
        yield started


@pytest.mark.may_block
async def test_four_workers_in_two_pods_admit_as_many_as_one(pods: list[Served]) -> None:
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(httpx2.AsyncClient(base_url=f"http://127.0.0.1:{pod.port}", timeout=30))
            for pod in pods
        ]
        counts = await asyncio.gather(*(statuses(client, 150) for client in clients))
    assert sum(counts, Counter()) == {200: 100, 429: 200}
    for pod in pods:
        eventually(lambda pod=pod: all(answered(report) for report in pod.reports()), "each worker has answered some")


def answered(report: dict[str, Any]) -> int:
    return sum(group["count"] for group in report["requests"])
