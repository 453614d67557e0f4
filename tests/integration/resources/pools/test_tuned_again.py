"""`tune.pool` on an object that is tuned already: an application factory that is called once per test, a reload."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest
from aiohttp import ClientSession
from paceline import tune
from paceline.document.model import Values
from paceline.errors import PoolError
from psycopg_pool import AsyncConnectionPool
from pymongo import AsyncMongoClient
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

DSN = "postgresql://nobody@127.0.0.1:1/none"
MAKE: dict[str, Callable[[], Any]] = {
    "aiohttp": lambda: ClientSession(),
    "asyncpg": lambda: asyncpg.create_pool(DSN, min_size=2, max_size=5),
    "httpx": lambda: httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_connections=5)),
    "psycopg": lambda: AsyncConnectionPool(DSN, min_size=2, max_size=5, open=False),
    "pymongo": lambda: AsyncMongoClient("mongodb://127.0.0.1:1/", maxPoolSize=5),
    "redis": lambda: Redis(max_connections=5),
    "redis cluster": lambda: RedisCluster(host="127.0.0.1", max_connections=5),
    "sqlalchemy": lambda: create_async_engine(DSN.replace("://", "+asyncpg://"), pool_size=5, max_overflow=0),
    "sqlalchemy, threads": lambda: create_engine(DSN.replace("://", "+psycopg://"), pool_size=5, max_overflow=0),
}


@pytest.fixture(params=list(MAKE))
async def made(request: pytest.FixtureRequest) -> Any:
    made = MAKE[request.param]()
    yield made
    if isinstance(made, ClientSession):
        await made.close()


def limit_of(tunables: tune.Tunables) -> int:
    limit: int = tunables.report()["pools"]["p"]["limit"]
    return limit


@pytest.mark.parametrize("serving", [False, True], ids=["tests", "paceline serve"])
async def test_the_same_pool_with_the_last_start_value(made: Any, serving: bool, tunables: tune.Tunables) -> None:
    tunables.serving = serving
    for limit in (2, 4):
        assert tune.pool(made, name="p", limit=limit, tunables=tunables) is made
        kind = type(made)
        assert limit_of(tunables) == tunables.start_values()["pools"]["p"] == limit
    assert type(made) is kind
    tunables.apply(Values(pools={"p": 3}))
    tune.pool(made, name="p", limit=2, tunables=tunables)
    assert limit_of(tunables) == 3


async def test_another_registry_has_the_same_pool(made: Any, tunables: tune.Tunables) -> None:
    tune.pool(made, name="p", limit=2, tunables=tunables)
    second = tune.Tunables()
    tune.pool(made, name="p", limit=3, tunables=second)
    assert limit_of(second) == limit_of(tunables) == 3


async def test_another_name_and_a_limit_that_it_cannot_have_are_refused(made: Any, tunables: tune.Tunables) -> None:
    tune.pool(made, name="p", limit=2, tunables=tunables)
    with pytest.raises(PoolError, match="'q': this object is tuned already, as 'p'; use that name"):
        tune.pool(made, name="q", limit=2, tunables=tunables)
    for limit in (0, 1000):
        with pytest.raises(PoolError, match="limit"):
            tune.pool(made, name="p", limit=limit, tunables=tunables)
    if isinstance(made, asyncpg.Pool | AsyncConnectionPool):
        with pytest.raises(PoolError, match="min_size=2"):
            tune.pool(made, name="p", limit=1, tunables=tunables)
    assert limit_of(tunables) == tunables.start_values()["pools"]["p"] == 2
    assert {*tunables.report()["pools"]} == {"p"}


@pytest.mark.invariant
def test_a_client_of_the_module_serves_one_application_per_test(valkey_url: str) -> None:
    client = Redis.from_url(valkey_url, max_connections=5)

    async def application() -> None:
        tunables = tune.Tunables()
        tune.pool(client, name="redis", limit=1, tunables=tunables)
        tasks = [asyncio.ensure_future(client.ping()) for _ in range(5)]
        assert await asyncio.wait_for(asyncio.gather(*tasks), 30) == [True] * 5
        assert tunables.report()["pools"]["redis"]["inUse"] == 0
        await client.aclose()

    for _ in range(3):
        asyncio.run(application())
