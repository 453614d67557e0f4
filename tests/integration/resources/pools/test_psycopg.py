"""`tune.pool` on real psycopg pools: what PostgreSQL itself counts, under load, while the limit moves."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import asyncpg
import pytest
from paceline import tune
from paceline.document.model import Values
from paceline.errors import AcquireTimeout, PoolError
from paceline.serve.worker.unregistered import inodes
from psycopg_pool import (
    AsyncConnectionPool,
    AsyncNullConnectionPool,
    ConnectionPool,
    NullConnectionPool,
    PoolClosed,
    PoolTimeout,
    TooManyRequests,
)

NAME = "paceline-psycopg-test"
OPTIONS: dict[str, Any] = {"min_size": 0, "max_size": 40, "timeout": 60, "kwargs": {"application_name": NAME}}


@pytest.fixture
async def pool(postgres_dsn: str) -> AsyncIterator[AsyncConnectionPool]:
    async with AsyncConnectionPool(postgres_dsn, open=False, **OPTIONS) as pool:
        yield pool


@pytest.fixture
def sync_pool(postgres_dsn: str) -> Iterator[ConnectionPool]:
    with ConnectionPool(postgres_dsn, open=False, **OPTIONS) as pool:
        yield pool


@pytest.fixture
async def monitor(postgres_dsn: str) -> AsyncIterator[Any]:
    async with asyncpg.create_pool(postgres_dsn, min_size=2, max_size=2) as monitor:
        yield monitor


async def count(monitor: Any) -> int:
    return int(await monitor.fetchval("select count(*) from pg_stat_activity where application_name = $1", NAME))


def report(tunables: tune.Tunables) -> dict[str, Any]:
    pool: dict[str, Any] = tunables.report()["pools"]["postgres"]
    return pool


async def use(pool: AsyncConnectionPool, seconds: float = 0.003) -> None:
    async with pool.connection() as connection:
        await connection.execute(f"select pg_sleep({seconds})")


def long_enough(tunables: tune.Tunables) -> float:
    """Seconds that keep all connections busy: psycopg is too slow to do so with 3 ms."""
    return 0.003 * float(report(tunables)["limit"])


@pytest.mark.invariant
async def test_the_server_sees_exactly_the_limit_while_it_moves(
    pool: AsyncConnectionPool, monitor: Any, tunables: tune.Tunables, drive: Any
) -> None:
    assert tune.pool(pool, name="postgres", limit=5, tunables=tunables) is pool
    assert isinstance(pool, AsyncConnectionPool)
    after = await drive(tunables, "postgres", lambda: use(pool, long_enough(tunables)), lambda: count(monitor))
    assert (after["kind"], after["cap"]) == ("psycopg", 40)
    assert len(inodes(tunables.sockets())) == after["open"] == 30


@pytest.mark.invariant
async def test_the_server_sees_exactly_the_limit_of_a_pool_for_threads(
    sync_pool: ConnectionPool, monitor: Any, tunables: tune.Tunables, drive: Any
) -> None:
    assert tune.pool(sync_pool, name="postgres", limit=5, tunables=tunables) is sync_pool

    def query() -> None:
        with sync_pool.connection() as connection:
            connection.execute(f"select pg_sleep({long_enough(tunables)})")

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(64) as threads:
        after = await drive(tunables, "postgres", lambda: loop.run_in_executor(threads, query), lambda: count(monitor))
    assert len(inodes(tunables.sockets())) == after["open"] == 30


async def test_an_idle_pool_is_trimmed_at_once_and_a_floor_follows_the_limit(
    postgres_dsn: str, monitor: Any, tunables: tune.Tunables, eventually: Any
) -> None:
    pool = AsyncConnectionPool(postgres_dsn, open=False, **{**OPTIONS, "min_size": 4})
    tune.pool(pool, name="postgres", limit=8, tunables=tunables)
    tunables.apply(Values(pools={"postgres": 3}))
    async with pool:

        async def open_is(number: int) -> bool:
            return await count(monitor) == report(tunables)["open"] == number

        await eventually(lambda: open_is(3), "the floor, lowered before it was opened")
        tunables.apply(Values(pools={"postgres": 8}))
        await asyncio.gather(*(use(pool) for _ in range(8)))
        tunables.apply(Values(pools={"postgres": 2}))
        await eventually(lambda: open_is(2), "two connections")


async def test_a_wait_that_is_too_long_raises_what_psycopg_would_raise(
    pool: AsyncConnectionPool, sync_pool: ConnectionPool, tunables: tune.Tunables
) -> None:
    tune.pool(pool, name="postgres", limit=1, tunables=tunables)
    async with pool.connection():
        with pytest.raises(PoolTimeout, match="'postgres'") as raised:
            await pool.getconn(timeout=0.05)
    assert isinstance(raised.value, AcquireTimeout)
    await use(pool)
    assert (report(tunables)["timeouts"], report(tunables)["inUse"]) == (1, 0)
    tune.pool(sync_pool, name="threads", limit=1, tunables=tunables)
    with sync_pool.connection(), pytest.raises(PoolTimeout, match="'threads'"):
        sync_pool.getconn(timeout=0.05)
    with sync_pool.connection():
        pass


async def test_max_waiting_still_counts(postgres_dsn: str, tunables: tune.Tunables) -> None:
    async with AsyncConnectionPool(postgres_dsn, open=False, max_waiting=1, **OPTIONS) as pool:
        tune.pool(pool, name="postgres", limit=1, tunables=tunables)
        async with pool.connection():
            waiting = asyncio.create_task(use(pool))
            await asyncio.sleep(0)
            with pytest.raises(TooManyRequests):
                await use(pool)
        await waiting


async def test_cancelled_uses_and_lost_connections_leak_nothing(
    pool: AsyncConnectionPool, monitor: Any, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(pool, name="postgres", limit=3, tunables=tunables)
    for moment in range(100):
        task = asyncio.create_task(use(pool))
        for _ in range(moment % 30):
            await asyncio.sleep(0)
        task.cancel()
    async with pool.connection() as connection:
        await connection.close()

    async def settled() -> bool:
        return report(tunables)["inUse"] == 0 and report(tunables)["open"] <= 3 and await count(monitor) <= 3

    await eventually(settled, "all permits back")
    await asyncio.gather(*(use(pool) for _ in range(20)))


async def test_closing_the_pool_frees_the_name(postgres_dsn: str, tunables: tune.Tunables) -> None:
    pool = AsyncConnectionPool(postgres_dsn, open=False, **OPTIONS)
    tune.pool(pool, name="postgres", limit=2, tunables=tunables)
    async with pool:
        await use(pool)
    with pytest.raises(PoolClosed):
        await use(pool)
    assert (report(tunables)["inUse"], report(tunables)["open"]) == (0, 0)
    async with AsyncConnectionPool(postgres_dsn, open=False, **OPTIONS) as again:
        tune.pool(again, name="postgres", limit=4, tunables=tunables)
        await use(again)


def test_what_cannot_be_limited_is_refused(tunables: tune.Tunables) -> None:
    for kind in (AsyncConnectionPool, ConnectionPool):
        with pytest.raises(PoolError, match="min_size=4 keeps more connections open than the limit 2"):
            tune.pool(kind(open=False, max_size=10), name="p", limit=2, tunables=tunables)
        with pytest.raises(PoolError, match=r"raise max_size \(now 10\)"):
            tune.pool(kind(open=False, min_size=0, max_size=10), name="p", limit=11, tunables=tunables)
    for null in (AsyncNullConnectionPool, NullConnectionPool):
        with pytest.raises(PoolError, match="null pool"):
            tune.pool(null(open=False, max_size=10), name="p", limit=2, tunables=tunables)


@pytest.mark.invariant
async def test_who_waits_while_the_pool_is_closed_is_told_at_once(
    pool: AsyncConnectionPool, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(pool, name="postgres", limit=1, tunables=tunables)
    held = await pool.getconn()
    waiting = [asyncio.create_task(use(pool)) for _ in range(3)]

    async def all_wait() -> bool:
        return bool(report(tunables)["waiting"] == 3)

    await eventually(all_wait, "three in the queue")
    await pool.close()
    async with asyncio.timeout(10):
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in outcomes] == [PoolClosed] * 3
    await pool.putconn(held)
    assert (report(tunables)["inUse"], report(tunables)["waiting"]) == (0, 0)


@pytest.mark.invariant
def test_threads_that_wait_while_the_pool_is_closed_are_told_at_once(
    sync_pool: ConnectionPool, tunables: tune.Tunables
) -> None:
    tune.pool(sync_pool, name="postgres", limit=1, tunables=tunables)
    held = sync_pool.getconn()
    with ThreadPoolExecutor() as threads:
        waiting = [threads.submit(sync_pool.getconn) for _ in range(3)]
        deadline = monotonic() + 30
        while report(tunables)["waiting"] < 3:
            assert monotonic() < deadline
        sync_pool.close()
        assert [type(each.exception(10)) for each in waiting] == [PoolClosed] * 3
    sync_pool.putconn(held)
    assert (report(tunables)["inUse"], report(tunables)["waiting"]) == (0, 0)
