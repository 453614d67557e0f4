"""`tune.pool` on a real asyncpg pool: what PostgreSQL itself counts, under load, while the limit moves."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from paceline import tune
from paceline.document.model import Values
from paceline.errors import AcquireTimeout, PoolError, UsageError
from paceline.pytest_plugin import Retune
from paceline.serve.worker.unregistered import inodes

NAME = "paceline-pool-test"


@pytest.fixture
async def pool(postgres_dsn: str) -> AsyncIterator[Any]:
    settings = {"application_name": NAME}
    # ssl=False: asyncpg leaves a future unread when a connect is cancelled in the middle of its offer of TLS.
    async with asyncpg.create_pool(postgres_dsn, min_size=0, max_size=40, ssl=False, server_settings=settings) as pool:
        yield pool


@pytest.fixture
async def monitor(postgres_dsn: str) -> AsyncIterator[Any]:
    async with asyncpg.create_pool(postgres_dsn, min_size=2, max_size=2) as monitor:
        yield monitor


async def count(monitor: Any) -> int:
    found = await monitor.fetchval("select count(*) from pg_stat_activity where application_name = $1", NAME)
    return int(found)


async def take(pool: Any) -> Any:
    return await pool.acquire()


async def lend(pool: Any, number: int) -> None:
    """Leaves that many connections idle."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(number):
            await stack.enter_async_context(pool.acquire())


def report(tunables: tune.Tunables) -> dict[str, Any]:
    pool: dict[str, Any] = tunables.report()["pools"]["postgres"]
    return pool


async def test_the_server_sees_exactly_the_limit_while_it_moves(
    pool: Any, monitor: Any, tunables: tune.Tunables, drive: Any
) -> None:
    assert tune.pool(pool, name="postgres", limit=5, tunables=tunables) is pool
    assert isinstance(pool, asyncpg.Pool)

    async def use() -> None:
        async with pool.acquire() as connection:
            await connection.fetchval("select pg_sleep(0.003)")

    after = await drive(tunables, "postgres", use, lambda: count(monitor))
    assert len(inodes(tunables.sockets())) == after["open"] == 30
    assert after["serverMaxConnections"] == 100


async def test_an_idle_pool_is_trimmed_at_once(
    pool: Any, monitor: Any, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(pool, name="postgres", limit=8, tunables=tunables)
    await lend(pool, 8)
    assert await count(monitor) == 8
    tunables.apply(Values(pools={"postgres": 2}))
    assert report(tunables)["open"] == 8, "closing connections are still open to the server"

    async def trimmed() -> bool:
        return await count(monitor) == report(tunables)["open"] == 2

    await eventually(trimmed, "two connections")


async def test_a_retuned_test_goes_on_when_surplus_connections_are_closed(
    pool: Any, tunables: tune.Tunables, retune: Retune
) -> None:
    tune.pool(pool, name="postgres", limit=8, tunables=tunables)
    await lend(pool, 8)
    await retune(pools={"postgres": 2}, tunables=tunables)
    assert report(tunables)["open"] == 2


@pytest.mark.parametrize("limit", [0, 41], ids=["no connection at all", "more than the constructor allows"])
async def test_a_retuned_limit_that_cannot_be_is_refused(
    pool: Any, tunables: tune.Tunables, retune: Retune, limit: int
) -> None:
    tune.pool(pool, name="postgres", limit=8, tunables=tunables)
    with pytest.raises(UsageError, match=f"a limit is 1 to 40, what its constructor allows; got {limit}"):
        await retune(pools={"postgres": limit}, tunables=tunables)
    assert report(tunables)["limit"] == 8


async def test_a_limit_that_flaps_opens_nothing_before_others_are_closed(pool: Any, tunables: tune.Tunables) -> None:
    tune.pool(pool, name="postgres", limit=8, tunables=tunables)
    await lend(pool, 8)
    tunables.apply(Values(pools={"postgres": 2}))
    tunables.apply(Values(pools={"postgres": 8}))
    # Nobody gives his back before all have one: else those that wait for room would take what is used already.
    acquires = [asyncio.create_task(take(pool)) for _ in range(8)]
    while not all(acquire.done() for acquire in acquires):
        assert report(tunables)["open"] <= 8
        await asyncio.sleep(0)
    assert report(tunables)["open"] == 8
    for acquire in acquires:
        await pool.release(acquire.result())


async def test_what_opens_under_an_earlier_limit_is_closed_when_it_comes_back(
    pool: Any, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(pool, name="postgres", limit=4, tunables=tunables)
    await lend(pool, 4)
    tunables.apply(Values(pools={"postgres": 1}))
    tunables.apply(Values(pools={"postgres": 4}))
    acquires = [asyncio.create_task(take(pool)) for _ in range(4)]
    await asyncio.sleep(0)
    tunables.apply(Values(pools={"postgres": 1}))
    connections = await asyncio.gather(*acquires)
    assert report(tunables)["inUse"] == 4
    for connection in connections:
        await pool.release(connection)

    async def settled() -> bool:
        return report(tunables)["open"] == 1

    await eventually(settled, "one connection")


async def test_a_shrink_spares_the_connection_that_a_granted_permit_is_about_to_take(
    postgres_dsn: str, tunables: tune.Tunables
) -> None:
    opened: list[int] = []

    async def note(connection: Any) -> None:
        opened.append(connection.get_server_pid())

    async with asyncpg.create_pool(postgres_dsn, min_size=0, max_size=4, init=note) as pool:
        tune.pool(pool, name="postgres", limit=2, tunables=tunables)
        lent = [await pool.acquire(), await pool.acquire()]
        waiting = [asyncio.create_task(take(pool)) for _ in range(2)]
        await asyncio.sleep(0)
        # Runs right after the second permit was granted anew, before its task can take the connection.
        lent[1]._holder._in_use.add_done_callback(lambda _: tunables.apply(Values(pools={"postgres": 1})))
        for connection in lent:
            await pool.release(connection)
        for connection in await asyncio.gather(*waiting):
            await pool.release(connection)
        assert len(opened) == 2


async def test_a_killed_connection_gives_its_permit_back(
    pool: Any, monitor: Any, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(pool, name="postgres", limit=2, tunables=tunables)
    for _ in range(5):
        with pytest.raises((asyncpg.AdminShutdownError, asyncpg.ConnectionDoesNotExistError)):
            await pool.fetchval("select pg_terminate_backend(pg_backend_pid())")
    idle = await pool.acquire()
    pid = await idle.fetchval("select pg_backend_pid()")
    await pool.release(idle)
    await monitor.execute("select pg_terminate_backend($1)", pid)

    async def settled() -> bool:
        return report(tunables)["inUse"] == 0 and report(tunables)["open"] == await count(monitor) == 0

    await eventually(settled, "no permit and no connection left")
    assert await asyncio.gather(*(pool.fetchval("select 1") for _ in range(20))) == [1] * 20
    assert report(tunables)["open"] <= 2


async def test_a_server_that_does_not_say_goodbye_is_hung_up_on(
    pool: Any, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(pool, name="postgres", limit=2, tunables=tunables)
    await lend(pool, 2)
    backends = [holder._con.get_server_pid() for holder in pool._holders if holder.is_connected()]
    for backend in backends:
        os.kill(backend, signal.SIGSTOP)
    try:
        tunables.apply(Values(pools={"postgres": 1}))

        async def settled() -> bool:
            return report(tunables)["open"] == 1

        await eventually(settled, "one connection")
    finally:
        for backend in backends:
            os.kill(backend, signal.SIGCONT)
    assert await pool.fetchval("select 1") == 1


async def test_cancelled_acquires_leak_nothing(
    pool: Any, monitor: Any, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(pool, name="postgres", limit=3, tunables=tunables)

    async def use() -> None:
        async with pool.acquire(timeout=30) as connection:
            await connection.fetchval("select pg_sleep(0.002)")

    for moment in range(150):
        task = asyncio.create_task(use())
        for _ in range(moment % 30):
            await asyncio.sleep(0)
        task.cancel()

    async def settled() -> bool:
        return report(tunables)["inUse"] == 0

    await eventually(settled, "all permits back")
    assert await asyncio.gather(*(pool.fetchval("select 1") for _ in range(20))) == [1] * 20

    async def no_more() -> bool:
        return await count(monitor) <= 3

    await eventually(no_more, "the server has seen that cancelled connects are gone")


async def test_the_timeout_of_acquire_covers_the_wait(pool: Any, tunables: tune.Tunables) -> None:
    tune.pool(pool, name="postgres", limit=1, tunables=tunables)
    async with pool.acquire():
        with pytest.raises(AcquireTimeout, match=r"'postgres': no connection became free within 0\.05 s"):
            await pool.acquire(timeout=0.05)
    async with pool.acquire(timeout=30) as connection:
        assert await connection.fetchval("select 1") == 1
    assert report(tunables)["timeouts"] == 1


async def test_closing_waits_for_lent_connections_and_frees_the_name(
    pool: Any, postgres_dsn: str, tunables: tune.Tunables
) -> None:
    tune.pool(pool, name="postgres", limit=1, tunables=tunables)
    lent = await pool.acquire()
    waiter = asyncio.create_task(pool.fetchval("select 1"))
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0)
    await pool.release(lent)
    await closing
    with pytest.raises(asyncpg.InterfaceError, match="pool is clos"):
        await waiter
    with pytest.raises(asyncpg.InterfaceError, match="pool is closed"):
        await pool.acquire()
    async with asyncpg.create_pool(postgres_dsn, min_size=0, max_size=4) as again:
        tune.pool(again, name="postgres", limit=4, tunables=tunables)
        assert report(tunables)["limit"] == 4


async def test_a_floor_follows_the_limit_down(postgres_dsn: str, tunables: tune.Tunables, eventually: Any) -> None:
    async with asyncpg.create_pool(postgres_dsn, min_size=4, max_size=10) as pool:
        tune.pool(pool, name="postgres", limit=6, tunables=tunables)
        tunables.apply(Values(pools={"postgres": 2}))

        async def settled() -> bool:
            return bool(report(tunables)["open"] == 2)

        await eventually(settled, "two connections")
        assert pool.get_min_size() == 2
        tunables.apply(Values())
        assert pool.get_min_size() == 4


async def test_a_pool_that_is_opened_after_tuning(postgres_dsn: str, tunables: tune.Tunables) -> None:
    tunables.apply(Values(pools={"postgres": 3}))
    async with tune.pool(
        asyncpg.create_pool(postgres_dsn, min_size=0, max_size=10), name="postgres", limit=6, tunables=tunables
    ) as pool:
        assert await asyncio.gather(*(pool.fetchval("select 1") for _ in range(20))) == [1] * 20
        assert report(tunables)["open"] <= report(tunables)["limit"] == 3


async def test_what_cannot_be_limited_as_asked_is_refused_and_left_as_it_was(
    pool: Any, postgres_dsn: str, tunables: tune.Tunables
) -> None:
    tunables.serving = True
    before = type(pool)
    with pytest.raises(PoolError, match=r"limit 41 is above .* raise max_size \(now 40\)"):
        tune.pool(pool, name="postgres", limit=41, tunables=tunables)
    with pytest.raises(PoolError, match="limit must be at least 1, got 0"):
        tune.pool(pool, name="postgres", limit=0, tunables=tunables)
    with pytest.raises(PoolError, match=r"min_size=10 .* limit 5; pass min_size=0"):
        tune.pool(asyncpg.create_pool(postgres_dsn), name="postgres", limit=5, tunables=tunables)
    tunables.add_pool(tune.adapt("postgres", asyncpg.create_pool(postgres_dsn, min_size=0), 1))
    with pytest.raises(PoolError, match="'postgres' is registered twice"):
        tune.pool(pool, name="postgres", limit=5, tunables=tunables)
    assert type(pool) is before
    tune.pool(pool, name="other", limit=5, tunables=tunables)
    with pytest.raises(PoolError, match="tuned already, as 'other'; use that name"):
        tune.pool(pool, name="third", limit=5, tunables=tunables)
