"""Pools of a process that no tunable stands for, with their number and the places where they were made."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from paceline.resources.pools.adapters import ADAPTERS
from paceline.resources.pools.limited_pool import MARK

_NOT_TUNABLE: Final = frozenset(
    {
        "aiomysql.pool.Pool",
        "asyncmy.pool.Pool",
        "httpx.Client",
        "httpx2.Client",
        "motor.core.AgnosticClient",
        "mysql.connector.pooling.MySQLConnectionPool",
        "psycopg2.pool.AbstractConnectionPool",
        "pymongo.synchronous.mongo_client.MongoClient",
        "redis.cluster.RedisCluster",
        "redis.connection.ConnectionPool",
        "sqlalchemy.pool.base.Pool",
        "urllib3.poolmanager.PoolManager",
    }
)
POOLS: Final = frozenset({name for name, adapter in ADAPTERS.items() if isinstance(adapter, type)}) | _NOT_TUNABLE
"""Full names of the classes that `untuned` looks for."""


@dataclass(frozen=True, slots=True)
class Untuned:
    """Pools of one kind."""

    kind: str
    count: int
    places: tuple[str, ...]
    """`file:line` of the application, where it can be known; sorted."""
    tunable: bool
    """Whether `tune.pool` takes them."""


def untuned(objects: Iterable[Any], place_of: Callable[[object], str]) -> tuple[Untuned, ...]:
    """Pools among the objects that no registered pool stands for, by kind, sorted."""
    found: dict[str, list[Any]] = {}
    for each in objects:
        kind = type(each)
        if _pool_name(kind) is not None and not hasattr(kind, MARK) and not _is_local(each):
            found.setdefault(f"{kind.__module__}.{kind.__qualname__}", []).append(each)
    return tuple(
        Untuned(kind, len(pools), tuple(sorted({*map(place_of, pools)} - {""})), _pool_name(type(pools[0])) in ADAPTERS)
        for kind, pools in sorted(found.items())
    )


def _pool_name(kind: type) -> str | None:
    names = (f"{ancestor.__module__}.{ancestor.__qualname__}" for ancestor in kind.__mro__)
    # Not those that only hold a pool, like a Redis client: the pool in it tells.
    return next((name for name in names if name in POOLS), None)


def _is_local(pool: Any) -> bool:
    """SQLite has files and no server."""
    return getattr(getattr(pool, "_dialect", None), "name", "") == "sqlite"
