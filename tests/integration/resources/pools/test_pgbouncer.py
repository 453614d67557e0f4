"""A pool behind PgBouncer in transaction mode: what docs/budgets.md says of it, seen at both ends."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest
from paceline import tune
from pgbouncer import pgbouncer

SERVERS, CLIENTS = 3, 12


@pytest.fixture(scope="module")
def through(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DSN of a PgBouncer with few connections to PostgreSQL and more for clients."""
    folder = tmp_path_factory.mktemp("pgbouncer")
    with pgbouncer(folder, postgres_dsn, mode="transaction", servers=SERVERS, clients=CLIENTS) as dsn:
        yield dsn


async def connect(dsn: str, **options: Any) -> Any:
    return await asyncpg.connect(dsn, ssl=False, **{"statement_cache_size": 0, **options})


async def test_a_tuned_pool_has_its_limit_at_the_pooler_and_the_server_sees_the_poolers(
    through: str, postgres_dsn: str, tunables: tune.Tunables
) -> None:
    async with AsyncExitStack() as stack:
        monitor = await stack.enter_async_context(asyncpg.create_pool(postgres_dsn, min_size=1, max_size=1))
        pool = await stack.enter_async_context(
            asyncpg.create_pool(through, min_size=0, max_size=40, ssl=False, statement_cache_size=0)
        )
        tune.pool(pool, name="postgres", limit=CLIENTS - 2, tunables=tunables)

        async def use() -> int:
            async with pool.acquire() as connection:
                return int(await connection.fetchval("select pg_backend_pid() from pg_sleep(0.01)"))

        backends = set(await asyncio.gather(*(use() for _ in range(100))))
        assert pool.get_size() == CLIENTS - 2
        assert len(backends) <= SERVERS
        assert await monitor.fetchval("select count(*) from pg_stat_activity where pid = any($1)", backends) <= SERVERS


async def test_a_client_beyond_its_limit_is_refused(through: str) -> None:
    clients = [await connect(through) for _ in range(CLIENTS)]
    with pytest.raises(asyncpg.PostgresError, match="no more connections allowed"):
        await connect(through)
    for client in clients:
        await client.close()


async def test_what_it_says_of_max_connections_is_the_servers_not_its_own(through: str) -> None:
    client = await connect(through)
    assert await client.fetchval("show max_connections") == "100"
    await client.close()


async def on_two_connections(client: Any, other: Any) -> None:
    """The client runs one statement twice; in between the other one takes the connection that it was prepared on."""
    first = await client.fetchval("select pg_backend_pid()")
    async with other.transaction():
        assert await other.fetchval("select pg_backend_pid()") == first
        assert await client.fetchval("select pg_backend_pid()") != first


async def test_prepared_statements_do_not_work_unless_they_are_switched_off(through: str) -> None:
    remembering, plain, other = (
        await connect(through, statement_cache_size=100),
        *[await connect(through) for _ in "ab"],
    )
    await on_two_connections(plain, other)
    with pytest.raises(asyncpg.InvalidSQLStatementNameError, match="does not exist"):
        await on_two_connections(remembering, other)
    for client in (remembering, plain, other):
        await client.close()


async def test_what_a_client_sets_for_its_session_stays_with_the_connection_of_others(through: str) -> None:
    setting, other = [await connect(through) for _ in range(2)]
    await setting.execute("set work_mem = '12345kB'")
    seen = {await other.fetchval("show work_mem") for _ in range(2 * SERVERS)}
    assert "12345kB" in seen, "the next client of the connection runs with it"
    await setting.execute("reset work_mem")
    for client in (setting, other):
        await client.close()
