"""`tune.pool` on real redis-py clients: what Valkey itself counts, under load, while the limit moves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis.exceptions
from paceline import tune
from paceline.document.model import Values
from paceline.errors import AcquireTimeout, PoolError
from paceline.serve.worker.unregistered import inodes
from redis import Redis as BlockingRedis
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

NAME = "paceline-pool-test"
POOLS: dict[str, Callable[..., ConnectionPool]] = {
    "a plain pool": ConnectionPool.from_url,
    "a blocking pool": BlockingConnectionPool.from_url,
}


@pytest.fixture(params=list(POOLS.values()), ids=list(POOLS))
async def client(request: pytest.FixtureRequest, valkey_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_pool(request.param(valkey_url, max_connections=40, client_name=NAME))
    yield client
    await client.aclose()


@pytest.fixture
async def monitor(valkey_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey_url, client_name="monitor") as client:
        yield client


async def count(monitor: Redis) -> int:
    return sum(client["name"] != "monitor" for client in await monitor.client_list())


def report(tunables: tune.Tunables) -> dict[str, Any]:
    pool: dict[str, Any] = tunables.report()["pools"]["redis"]
    return pool


async def test_the_server_sees_exactly_the_limit_while_it_moves(
    client: Redis, monitor: Redis, tunables: tune.Tunables, drive: Any
) -> None:
    assert tune.pool(client, name="redis", limit=5, tunables=tunables) is client
    assert isinstance(client.connection_pool, ConnectionPool)

    async def use() -> None:
        async with client.pipeline() as pipeline:
            await pipeline.incr("used").blpop(["nothing"], 1).execute()

    after = await drive(tunables, "redis", use, lambda: count(monitor))
    assert len(inodes(tunables.sockets())) == after["open"] == 30


async def test_an_idle_pool_is_trimmed_at_once(
    client: Redis, monitor: Redis, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(client, name="redis", limit=8, tunables=tunables)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(8):
            await stack.enter_async_context(client.client())
    assert await count(monitor) == 8
    tunables.apply(Values(pools={"redis": 2}))
    assert report(tunables)["open"] == 8, "closing connections are still open to the server"

    async def trimmed() -> bool:
        return await count(monitor) == report(tunables)["open"] == 2

    await eventually(trimmed, "two connections")


async def test_a_killed_connection_leaks_no_permit(
    client: Redis, monitor: Redis, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(client, name="redis", limit=2, tunables=tunables)
    for _ in range(5):
        own = await client.client_id()
        await monitor.client_kill_filter(_id=str(own))
        with contextlib.suppress(redis.exceptions.ConnectionError):  # unless the client notices before it sends
            await client.set("k", b"v")
    await client.set("k", b"v")
    assert await asyncio.gather(*(client.get("k") for _ in range(20))) == [b"v"] * 20

    async def settled() -> bool:
        return report(tunables)["inUse"] == 0 and await count(monitor) <= 2

    await eventually(settled, "all permits back")


async def test_an_unreachable_server_leaks_no_permit(tunables: tune.Tunables) -> None:
    refused = Redis(host="127.0.0.1", port=1, max_connections=5, retry=Retry(NoBackoff(), 0))
    client = tune.pool(refused, name="redis", limit=2, tunables=tunables)
    for _ in range(5):
        with pytest.raises(redis.exceptions.ConnectionError):
            await client.get("k")
    assert (report(tunables)["inUse"], report(tunables)["open"]) == (0, 0)
    await client.aclose()


async def test_cancelled_commands_leak_no_permit(client: Redis, tunables: tune.Tunables, eventually: Any) -> None:
    tune.pool(client, name="redis", limit=3, tunables=tunables)
    for moment in range(150):
        task = asyncio.ensure_future(client.incr("cancelled"))
        for _ in range(moment % 30):
            await asyncio.sleep(0)
        task.cancel()

    async def settled() -> bool:
        return bool(report(tunables)["inUse"] == 0)

    await eventually(settled, "all permits back")
    assert await client.ping()


async def test_a_subscriber_holds_its_connection_and_a_pipeline_works(client: Redis, tunables: tune.Tunables) -> None:
    tune.pool(client, name="redis", limit=2, tunables=tunables)
    async with client.pubsub() as subscriber:
        await subscriber.subscribe("news")
        assert (await subscriber.get_message(timeout=30))["type"] == "subscribe"
        assert report(tunables)["inUse"] == 1
        async with client.pipeline(transaction=True) as pipeline:
            assert await pipeline.set("a", 1).incr("a").get("a").execute() == [True, 2, b"2"]
        await client.publish("news", "hello")
        assert (await subscriber.get_message(timeout=30))["data"] == b"hello"
    assert report(tunables)["inUse"] == 0


async def test_the_timeout_of_a_blocking_pool_covers_the_wait(valkey_url: str, tunables: tune.Tunables) -> None:
    pool = BlockingConnectionPool.from_url(valkey_url, max_connections=5, timeout=0.05)
    assert tune.pool(pool, name="redis", limit=1, tunables=tunables) is pool
    client = Redis.from_pool(pool)
    async with client.client():
        with pytest.raises(redis.exceptions.ConnectionError, match="no connection became free") as caught:
            await client.get("k")
    assert isinstance(caught.value, AcquireTimeout)
    assert await client.ping()
    await client.aclose()


async def test_a_closed_pool_frees_its_name_and_may_be_used_again(valkey_url: str, tunables: tune.Tunables) -> None:
    tunables.serving = True
    client = tune.pool(Redis.from_url(valkey_url), name="redis", limit=3, tunables=tunables)
    await client.ping()
    await client.aclose()
    assert report(tunables)["open"] == 0
    assert await client.ping()
    with pytest.raises(PoolError, match="'redis' is registered twice"):
        tune.pool(Redis.from_url(valkey_url), name="redis", limit=4, tunables=tunables)
    await client.aclose()
    successor = tune.pool(Redis.from_url(valkey_url), name="redis", limit=4, tunables=tunables)
    assert report(tunables)["limit"] == 4
    await successor.aclose()


def test_what_cannot_be_limited_as_asked_is_refused(valkey_url: str, tunables: tune.Tunables) -> None:
    with pytest.raises(PoolError, match=r"limit 11 is above .* raise max_connections \(now 10\)"):
        tune.pool(Redis.from_url(valkey_url, max_connections=10), name="redis", limit=11, tunables=tunables)
    with pytest.raises(PoolError, match=r"cannot limit redis.client.Redis; supported are aiohttp.* redis.asyncio"):
        tune.pool(BlockingRedis.from_url(valkey_url), name="redis", limit=5, tunables=tunables)
    with pytest.raises(PoolError, match=r"cannot limit builtins.object"):
        tune.pool(object(), name="redis", limit=5, tunables=tunables)
