"""Chooses the adapter for an object by the name of its class: no driver is imported to find out."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from paceline.errors import PoolError
from paceline.resources.pools.aiohttp import AiohttpPool
from paceline.resources.pools.asyncpg import AsyncpgPool
from paceline.resources.pools.httpx import HttpxPool
from paceline.resources.pools.limited_pool import MARK, LimitedPool
from paceline.resources.pools.psycopg import AsyncPsycopgPool, SyncPsycopgPool
from paceline.resources.pools.pymongo import PymongoPool
from paceline.resources.pools.redis import RedisPool
from paceline.resources.pools.redis_cluster import RedisClusterPool
from paceline.resources.pools.sqlalchemy import SqlalchemyPool
from paceline.resources.pools.sqlalchemy_sync import SyncSqlalchemyPool

_Adapter = Callable[[str, Any, int], LimitedPool]


def _aiohttp_session(name: str, session: Any, limit: int) -> LimitedPool:
    return adapt(name, session.connector, limit)


def _redis_client(name: str, client: Any, limit: int) -> LimitedPool:
    return adapt(name, client.connection_pool, limit)


def _sqlalchemy_engine(name: str, engine: Any, limit: int) -> LimitedPool:
    return adapt(name, engine.sync_engine.pool, limit)


def _sqlalchemy_sync_engine(name: str, engine: Any, limit: int) -> LimitedPool:
    return adapt(name, engine.pool, limit)


ADAPTERS: Final[Mapping[str, _Adapter]] = MappingProxyType(
    {
        "aiohttp.client.ClientSession": _aiohttp_session,
        "aiohttp.connector.BaseConnector": AiohttpPool,
        "asyncpg.pool.Pool": AsyncpgPool,
        "httpx.AsyncClient": HttpxPool,
        "httpx2.AsyncClient": HttpxPool,
        "psycopg_pool.pool.ConnectionPool": SyncPsycopgPool,
        "psycopg_pool.pool_async.AsyncConnectionPool": AsyncPsycopgPool,
        "pymongo.asynchronous.mongo_client.AsyncMongoClient": PymongoPool,
        "redis.asyncio.cluster.RedisCluster": RedisClusterPool,
        "redis.asyncio.connection.ConnectionPool": RedisPool,
        "redis.asyncio.client.Redis": _redis_client,
        "sqlalchemy.pool.impl.AsyncAdaptedQueuePool": SqlalchemyPool,
        "sqlalchemy.engine.base.Engine": _sqlalchemy_sync_engine,
        "sqlalchemy.ext.asyncio.engine.AsyncEngine": _sqlalchemy_engine,
        "sqlalchemy.pool.impl.QueuePool": SyncSqlalchemyPool,
    }
)
"""By the full name of a class; it counts for subclasses too."""

SUPPORTED: Final = (
    "aiohttp.ClientSession and its connector, asyncpg.Pool, httpx.AsyncClient, httpx2.AsyncClient, "
    "psycopg_pool.AsyncConnectionPool and ConnectionPool, pymongo.AsyncMongoClient, "
    "redis.asyncio.Redis, RedisCluster, ConnectionPool and BlockingConnectionPool, "
    "sqlalchemy's Engine with its QueuePool, and AsyncEngine with its AsyncAdaptedQueuePool"
)


def adapt(name: str, pool: Any, limit: int) -> LimitedPool:
    """An adapter for a pool, not installed yet; the one that it has, if it is limited already.

    Raises:
        PoolError: it is of no supported kind, has another name already, or cannot have this limit.
    """
    taken: LimitedPool | None = getattr(pool, MARK, None)
    if taken is not None:
        if taken.name != name:
            raise PoolError(f"pool {name!r}: this object is tuned already, as {taken.name!r}; use that name")
        taken.check(limit)
        taken.start_limit = limit
        return taken
    for ancestor in type(pool).__mro__:
        adapter = ADAPTERS.get(f"{ancestor.__module__}.{ancestor.__qualname__}")
        if adapter is not None:
            return adapter(name, pool, limit)
    given = f"{type(pool).__module__}.{type(pool).__qualname__}"
    raise PoolError(f"pool {name!r}: cannot limit {given}; supported are {SUPPORTED}")
