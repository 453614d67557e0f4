"""`tune.pool` on real SQLAlchemy engines for threads: what PostgreSQL counts, under load, while the limit moves."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pytest
from paceline import tune
from paceline.document.model import Values
from paceline.errors import AcquireTimeout, PoolError
from paceline.serve.worker.unregistered import inodes
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as SqlalchemyTimeoutError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

NAME = "paceline-sync-engine-test"
QUERY = text("select pg_sleep(0.003)")


def url(dsn: str) -> str:
    return dsn.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def engine(postgres_dsn: str) -> Iterator[Engine]:
    engine = create_engine(url(postgres_dsn), pool_size=20, max_overflow=20, connect_args={"application_name": NAME})
    yield engine
    engine.dispose()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(64) as threads:
        yield threads


@pytest.fixture
async def monitor(postgres_dsn: str) -> AsyncIterator[Any]:
    async with asyncpg.create_pool(postgres_dsn, min_size=2, max_size=2) as monitor:
        yield monitor


async def count(monitor: Any) -> int:
    return int(await monitor.fetchval("select count(*) from pg_stat_activity where application_name = $1", NAME))


def report(tunables: tune.Tunables) -> dict[str, Any]:
    pool: dict[str, Any] = tunables.report()["pools"]["orders"]
    return pool


def use(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(QUERY)


@pytest.mark.invariant
@pytest.mark.parametrize("by", ["connections", "sessions"])
async def test_the_server_sees_at_most_the_limit_while_it_moves(
    by: str, engine: Engine, threads: ThreadPoolExecutor, monitor: Any, tunables: tune.Tunables, drive: Any
) -> None:
    assert tune.pool(engine, name="orders", limit=5, tunables=tunables) is engine
    assert isinstance(engine.pool, QueuePool)

    def query() -> None:
        if by == "connections":
            use(engine)
        else:
            with Session(engine) as session, session.begin():
                session.execute(QUERY)

    loop = asyncio.get_running_loop()
    after = await drive(tunables, "orders", lambda: loop.run_in_executor(threads, query), lambda: count(monitor))
    assert (after["kind"], after["cap"]) == ("sqlalchemy", 40)
    assert after["open"] <= 30
    assert len(inodes(tunables.sockets())) == after["open"]


@pytest.mark.invariant
async def test_dispose_keeps_the_limit(
    engine: Engine, threads: ThreadPoolExecutor, monitor: Any, tunables: tune.Tunables, drive: Any
) -> None:
    tune.pool(engine, name="orders", limit=5, tunables=tunables)
    with engine.connect() as held:
        engine.dispose()
        held.execute(QUERY)
    assert report(tunables)["inUse"] == 0
    loop = asyncio.get_running_loop()
    await drive(tunables, "orders", lambda: loop.run_in_executor(threads, use, engine), lambda: count(monitor))


async def test_an_idle_pool_is_trimmed_at_once(
    engine: Engine, monitor: Any, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(engine, name="orders", limit=8, tunables=tunables)
    held = [engine.connect() for _ in range(8)]
    for each in held:
        each.close()
    assert await count(monitor) == 8
    tunables.apply(Values(pools={"orders": 2}))

    async def trimmed() -> bool:
        return await count(monitor) == report(tunables)["open"] == 2

    await eventually(trimmed, "two connections")


def test_threads_are_served_in_the_order_in_which_they_came(engine: Engine, tunables: tune.Tunables) -> None:
    tune.pool(engine, name="orders", limit=1, tunables=tunables)
    served: list[int] = []

    def take(number: int) -> None:
        with engine.connect():
            served.append(number)

    waiting = []
    with engine.connect():
        for number in range(10):
            thread = threading.Thread(target=take, args=(number,))
            thread.start()
            waiting.append(thread)
            while report(tunables)["waiting"] <= number:
                pass
    for thread in waiting:
        thread.join(30)
    assert served == list(range(10))


def test_a_wait_that_is_too_long_raises_what_sqlalchemy_would_raise(postgres_dsn: str, tunables: tune.Tunables) -> None:
    engine = create_engine(url(postgres_dsn), pool_size=5, max_overflow=0, pool_timeout=0.05)
    tune.pool(engine, name="orders", limit=1, tunables=tunables)
    with engine.connect(), pytest.raises(SqlalchemyTimeoutError, match="orders") as raised:
        use(engine)
    assert isinstance(raised.value, AcquireTimeout)
    assert report(tunables)["timeouts"] == 1
    use(engine)
    engine.dispose()


def test_a_failed_connect_and_an_invalidated_connection_cost_no_permit(engine: Engine, tunables: tune.Tunables) -> None:
    tune.pool(engine, name="orders", limit=1, tunables=tunables)
    with engine.connect() as connection:
        connection.invalidate()
    use(engine)
    assert report(tunables)["inUse"] == 0
    nowhere = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none", pool_size=1, max_overflow=0)
    tune.pool(nowhere, name="nowhere", limit=1, tunables=tunables)
    for _ in range(2):
        with pytest.raises(OperationalError):
            use(nowhere)
    assert tunables.report()["pools"]["nowhere"]["inUse"] == 0


@pytest.mark.parametrize(
    ("options", "limit", "problem"),
    [
        pytest.param({"pool_size": 5, "max_overflow": 5}, 11, "raise pool_size \\+ max_overflow", id="above-the-cap"),
        pytest.param({"pool_size": 5, "max_overflow": -1}, 5, "know no bound", id="unlimited-overflow"),
        pytest.param({"poolclass": NullPool}, 5, "cannot limit sqlalchemy.pool.impl.NullPool", id="no-queue"),
        pytest.param({"poolclass": StaticPool}, 5, "cannot limit sqlalchemy.pool.impl.StaticPool", id="one for all"),
    ],
)
def test_what_cannot_be_limited_is_refused(
    options: dict[str, Any], limit: int, problem: str, tunables: tune.Tunables
) -> None:
    engine = create_engine("postgresql+psycopg://", **options)
    with pytest.raises(PoolError, match=problem):
        tune.pool(engine, name="orders", limit=limit, tunables=tunables)
