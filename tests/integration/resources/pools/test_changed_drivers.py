"""`tune.pool` refuses real drivers that are not as expected. What is checked: test_driver.py."""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import asyncpg
import httpx
import httpx2
import pymongo
import pytest
import redis.asyncio
from aiohttp.connector import BaseConnector, TCPConnector
from asyncpg.pool import Pool
from paceline import tune
from paceline.errors import PoolError
from psycopg_pool import AsyncConnectionPool
from psycopg_pool import ConnectionPool as ConnectionPoolForThreads
from pymongo.asynchronous.pool import Pool as MongoPool
from redis.asyncio import BlockingConnectionPool, Connection, ConnectionPool
from redis.asyncio.cluster import ClusterNode, NodesManager, RedisCluster
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

DSN = "postgresql://nobody@127.0.0.1:1/none"
MAKE: dict[str, Callable[[], Any]] = {
    "asyncpg": lambda: asyncpg.create_pool(DSN, min_size=0, max_size=5),
    "aiohttp": lambda: aiohttp.ClientSession(),
    "httpx": lambda: httpx.AsyncClient(trust_env=False),
    "httpx2": lambda: httpx2.AsyncClient(trust_env=False),
    "pymongo": lambda: pymongo.AsyncMongoClient("mongodb://127.0.0.1:1/", maxPoolSize=5),
    "redis": lambda: redis.asyncio.Redis(max_connections=5),
    "redis, blocking": lambda: redis.asyncio.Redis.from_pool(BlockingConnectionPool(max_connections=5)),
    "redis cluster": lambda: RedisCluster(host="127.0.0.1", port=1, max_connections=5),
    "psycopg": lambda: AsyncConnectionPool(DSN, min_size=0, max_size=5, open=False),
    "psycopg, threads": lambda: ConnectionPoolForThreads(DSN, min_size=0, max_size=5, open=False),
    "sqlalchemy, threads": lambda: create_engine(DSN.replace("://", "+psycopg://"), pool_size=5, max_overflow=0),
    "sqlalchemy": lambda: create_async_engine(DSN.replace("://", "+asyncpg://"), pool_size=5, max_overflow=0),
}
HTTPCORE = httpx.AsyncHTTPTransport()._pool.__class__
HTTPCORE2 = httpx2.AsyncHTTPTransport()._pool.__class__
REPLACED = [
    ("asyncpg", Pool, "_acquire"),
    ("asyncpg", Pool, "_get_new_connection"),
    ("aiohttp", BaseConnector, "connect"),
    ("aiohttp", BaseConnector, "_release"),
    ("aiohttp", TCPConnector, "_create_connection"),
    ("httpx", HTTPCORE, "handle_async_request"),
    ("httpx", HTTPCORE, "_assign_requests_to_connections"),
    ("httpx2", HTTPCORE2, "handle_async_request"),
    ("httpx2", HTTPCORE2, "_assign_requests_to_connections"),
    ("pymongo", MongoPool, "_get_conn"),
    ("pymongo", MongoPool, "checkin"),
    ("pymongo", MongoPool, "connect"),
    ("pymongo", MongoPool, "remove_stale_sockets"),
    ("redis", ConnectionPool, "get_connection"),
    ("redis", ConnectionPool, "release"),
    ("redis", ConnectionPool, "disconnect"),
    ("redis, blocking", BlockingConnectionPool, "get_connection"),
    ("redis, blocking", BlockingConnectionPool, "release"),
    *[("redis cluster", ClusterNode, name) for name in ("execute_command", "execute_pipeline", "acquire_connection")],
    *[("redis cluster", ClusterNode, "release")] * hasattr(ClusterNode, "release"),
    ("redis cluster", NodesManager, "set_nodes"),
    *[("redis cluster", Connection, name) for name in ("_connect", "connect", "disconnect")],
    *[("psycopg", AsyncConnectionPool, name) for name in ("getconn", "putconn", "resize")],
    *[("psycopg, threads", ConnectionPoolForThreads, name) for name in ("getconn", "putconn", "resize")],
    *[("sqlalchemy, threads", QueuePool, name) for name in ("_do_get", "_do_return_conn", "recreate")],
    ("sqlalchemy", QueuePool, "_do_get"),
    ("sqlalchemy", QueuePool, "_do_return_conn"),
    ("sqlalchemy", QueuePool, "recreate"),
]
CASES = [pytest.param(*each, id=f"{each[0]} {each[2]}") for each in REPLACED]


@pytest.fixture
async def make() -> AsyncIterator[Callable[[str], Any]]:
    """Makes a pool by the name of its driver, and closes it after the test; none of them connects."""
    async with AsyncExitStack() as stack:

        def make(driver: str) -> Any:
            made = MAKE[driver]()
            close = getattr(made, "aclose", None) or getattr(made, "dispose", None) or made.close
            if driver.endswith("threads"):
                stack.callback(close)
            elif driver not in ("asyncpg", "psycopg"):  # those are never opened
                stack.push_async_callback(close)
            return made

        yield make


def refused(made: Any) -> str:
    with pytest.raises(PoolError) as raised:
        tune.pool(made, name="p", limit=1, tunables=tune.Tunables())
    return str(raised.value)


@pytest.mark.parametrize("driver", MAKE)
async def test_as_installed_it_is_taken(driver: str, make: Any) -> None:
    made = make(driver)
    assert tune.pool(made, name="p", limit=1, tunables=tune.Tunables()) is made


@pytest.mark.invariant
@pytest.mark.parametrize(("driver", "kind", "member"), CASES)
async def test_a_member_that_was_renamed(
    driver: str, kind: Any, member: str, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(driver)
    original = inspect.getattr_static(kind, member)
    with monkeypatch.context() as changed:
        for each in kind.__mro__:
            if member in each.__dict__ and not getattr(each.__dict__[member], "__isabstractmethod__", False):
                changed.delattr(each, member)
        changed.setattr(kind, f"{member}_anew", original, raising=False)
        message = refused(made)
    assert member in message
    assert "PACELINE_UNPOOLED" in message


@pytest.mark.invariant
@pytest.mark.parametrize(("driver", "kind", "member"), CASES)
async def test_a_member_whose_parameters_changed(
    driver: str, kind: Any, member: str, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(driver)

    def changed(self: Any, lease: Any, *, priority: int) -> Any: ...

    changed.__module__ = kind.__module__
    with monkeypatch.context() as change:
        change.setattr(kind, member, changed)
        assert member in refused(made)


@pytest.mark.parametrize(("driver", "kind", "member"), CASES)
async def test_a_subclass_that_overrides_a_member(
    driver: str, kind: Any, member: str, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(driver)

    def mine(self: Any, *arguments: Any, **options: Any) -> Any: ...

    if driver == "pymongo":
        made._topology_settings._pool_class = type("Mine", (kind,), {member: mine, "__module__": "theirs"})
        assert "theirs.Mine" in refused(made)
        return
    if kind is Connection:
        theirs = type("Mine", (kind,), {member: mine, "__module__": "theirs"})
        node = target(driver, made, ClusterNode)
        node.connection_class = made.nodes_manager.connection_kwargs["connection_class"] = theirs
        assert "theirs.Mine" in refused(made)
        return
    pool = target(driver, made, kind)
    mine_kind = type("Mine", (type(pool),), {member: mine, "__slots__": (), "__module__": "theirs"})
    with monkeypatch.context() as change:
        change.setattr(pool, "__class__", mine_kind)
        assert "theirs.Mine" in refused(made)


def target(driver: str, made: Any, kind: Any) -> Any:
    """The object whose members are replaced."""
    if kind is ClusterNode:
        return next(iter(made.nodes_manager.startup_nodes.values()))
    ways: dict[str, Callable[[Any], Any]] = {
        "aiohttp": lambda made: made.connector,
        "redis": lambda made: made.connection_pool,
        "redis, blocking": lambda made: made.connection_pool,
        "redis cluster": lambda made: made.nodes_manager,
        "sqlalchemy, threads": lambda made: made.pool,
        "sqlalchemy": lambda made: made.sync_engine.pool,
        "httpx": lambda made: made._transport._pool,
        "httpx2": lambda made: made._transport._pool,
    }
    return ways[driver](made) if driver in ways else made


async def test_a_proxy_around_a_pool(make: Any) -> None:
    class Proxy:
        def __init__(self, wrapped: Any) -> None:
            self._wrapped = wrapped

        def __getattr__(self, name: str) -> Any:
            return getattr(self._wrapped, name)

        @property
        def __class__(self) -> Any:
            return type(self._wrapped)

    assert "cannot limit" in refused(Proxy(make("redis").connection_pool))


async def test_a_pool_that_shadows_a_member_by_an_attribute(make: Any) -> None:
    made = make("redis")
    made.connection_pool.get_connection = made.connection_pool.get_connection
    assert "the object itself has an attribute get_connection" in refused(made)


async def test_a_refused_pool_leaves_its_name_free(make: Any) -> None:
    tunables = tune.Tunables()
    made = make("redis")
    made.connection_pool.release = made.connection_pool.release
    with pytest.raises(PoolError):
        tune.pool(made, name="p", limit=1, tunables=tunables)
    tune.pool(make("redis"), name="p", limit=1, tunables=tunables)


def test_sqlalchemys_pool_class_is_the_one_that_is_known() -> None:
    assert issubclass(AsyncAdaptedQueuePool, QueuePool)
