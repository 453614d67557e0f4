"""`tune.pool` on real async SQLAlchemy engines: what PostgreSQL itself counts, under load, while the limit moves."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from paceline import tune
from paceline.document.model import Values
from paceline.errors import AcquireTimeout, PoolError
from paceline.serve.worker.unregistered import inodes
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as SqlalchemyTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool

NAME = "paceline-engine-test"
QUERY = text("select pg_sleep(0.003)")


def url(dsn: str) -> str:
    return dsn.replace("postgresql://", "postgresql+asyncpg://")


@pytest.fixture
async def engine(postgres_dsn: str) -> AsyncIterator[AsyncEngine]:
    # ssl=False: asyncpg leaves a future unread when a connect is cancelled in the middle of its offer of TLS.
    arguments = {"ssl": False, "server_settings": {"application_name": NAME}}
    engine = create_async_engine(url(postgres_dsn), pool_size=20, max_overflow=20, connect_args=arguments)
    yield engine
    await engine.dispose()


@pytest.fixture
async def monitor(postgres_dsn: str) -> AsyncIterator[Any]:
    async with asyncpg.create_pool(postgres_dsn, min_size=2, max_size=2) as monitor:
        yield monitor


async def count(monitor: Any) -> int:
    return int(await monitor.fetchval("select count(*) from pg_stat_activity where application_name = $1", NAME))


def report(tunables: tune.Tunables) -> dict[str, Any]:
    pool: dict[str, Any] = tunables.report()["pools"]["orders"]
    return pool


def move(tunables: tune.Tunables, limit: int) -> None:
    tunables.apply(Values(pools={"orders": limit}))


async def use(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(QUERY)


async def lend(engine: AsyncEngine, connections: int) -> None:
    """Opens so many side by side and gives them back."""
    await asyncio.gather(*(use(engine) for _ in range(connections)))


@pytest.mark.parametrize("by", ["connections", "sessions"])
async def test_the_server_sees_at_most_the_limit_while_it_moves(
    by: str, engine: AsyncEngine, monitor: Any, tunables: tune.Tunables, drive: Any
) -> None:
    assert tune.pool(engine, name="orders", limit=5, tunables=tunables) is engine
    assert isinstance(engine.pool, AsyncAdaptedQueuePool)
    sessions = async_sessionmaker(engine)

    async def query() -> None:
        if by == "connections":
            await use(engine)
        else:
            async with sessions.begin() as session:
                await session.execute(QUERY)

    after = await drive(tunables, "orders", query, lambda: count(monitor))
    assert (after["kind"], after["cap"]) == ("sqlalchemy", 40)
    assert after["open"] <= 30
    assert len(inodes(tunables.sockets())) == after["open"]


async def test_an_idle_pool_is_trimmed_at_once(
    engine: AsyncEngine, monitor: Any, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(engine, name="orders", limit=8, tunables=tunables)
    await lend(engine, 8)
    assert await count(monitor) == 8
    move(tunables, 2)
    assert report(tunables)["open"] == 8, "closing connections are still open to the server"

    async def trimmed() -> bool:
        return await count(monitor) == report(tunables)["open"] == 2

    await eventually(trimmed, "two connections")


async def test_a_limit_that_flaps_opens_nothing_before_others_are_closed(
    engine: AsyncEngine, tunables: tune.Tunables
) -> None:
    tune.pool(engine, name="orders", limit=8, tunables=tunables)
    await lend(engine, 8)
    move(tunables, 2)
    move(tunables, 8)
    queries = [asyncio.create_task(use(engine)) for _ in range(8)]
    while not all(query.done() for query in queries):
        assert report(tunables)["open"] <= 8
        await asyncio.sleep(0)
    await asyncio.gather(*queries)


async def test_dispose_keeps_the_limit(engine: AsyncEngine, monitor: Any, tunables: tune.Tunables, drive: Any) -> None:
    tune.pool(engine, name="orders", limit=5, tunables=tunables)
    await lend(engine, 5)
    async with engine.connect() as held:
        await engine.dispose()
        await held.execute(QUERY)
    assert report(tunables)["inUse"] == 0

    await drive(tunables, "orders", lambda: use(engine), lambda: count(monitor))


async def test_a_wait_that_is_too_long_raises_what_sqlalchemy_would_raise(
    postgres_dsn: str, tunables: tune.Tunables
) -> None:
    engine = create_async_engine(url(postgres_dsn), pool_size=5, max_overflow=0, pool_timeout=0.05)
    tune.pool(engine, name="orders", limit=1, tunables=tunables)
    async with engine.connect():
        with pytest.raises(SqlalchemyTimeoutError, match="orders") as raised:
            await use(engine)
    assert isinstance(raised.value, AcquireTimeout)
    assert report(tunables)["timeouts"] == 1
    await use(engine)
    await engine.dispose()


async def test_a_cancelled_wait_and_a_failed_connect_cost_no_permit(
    engine: AsyncEngine, tunables: tune.Tunables
) -> None:
    tune.pool(engine, name="orders", limit=1, tunables=tunables)
    async with engine.connect():
        waiting = asyncio.create_task(use(engine))
        while not report(tunables)["waiting"]:  # noqa: ASYNC110 - the limiter tells nobody
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    await use(engine)
    assert report(tunables)["inUse"] == 0

    nowhere = create_async_engine("postgresql+asyncpg://nobody@127.0.0.1:1/none", pool_size=1, max_overflow=0)
    tune.pool(nowhere, name="nowhere", limit=1, tunables=tunables)
    for _ in range(2):
        with pytest.raises(OSError, match=r"127\.0\.0\.1"):
            await use(nowhere)
    assert tunables.report()["pools"]["nowhere"]["inUse"] == 0


async def test_an_invalidated_connection_gives_its_permit_back(engine: AsyncEngine, tunables: tune.Tunables) -> None:
    tune.pool(engine, name="orders", limit=1, tunables=tunables)
    async with engine.connect() as connection:
        await connection.invalidate()
    await use(engine)
    assert report(tunables)["inUse"] == 0


@pytest.mark.parametrize(
    ("options", "limit", "problem"),
    [
        pytest.param({"pool_size": 5, "max_overflow": 5}, 11, "raise pool_size \\+ max_overflow", id="above-the-cap"),
        pytest.param({"pool_size": 5, "max_overflow": -1}, 5, "know no bound", id="unlimited-overflow"),
        pytest.param({"pool_size": 0}, 5, "know no bound", id="unlimited-size"),
        pytest.param({"poolclass": NullPool}, 5, "cannot limit sqlalchemy.pool.impl.NullPool", id="no-queue"),
    ],
)
async def test_what_cannot_be_limited_is_refused(
    options: dict[str, Any], limit: int, problem: str, tunables: tune.Tunables
) -> None:
    engine = create_async_engine("postgresql+asyncpg://", **options)
    with pytest.raises(PoolError, match=problem):
        tune.pool(engine, name="orders", limit=limit, tunables=tunables)
    await engine.dispose()
