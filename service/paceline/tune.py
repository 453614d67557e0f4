"""The public API: hand over a pool or a function, and its capacity follows the tuning policy while the process runs.

Without `paceline serve` the values given here stay in force, and tests run as before.
"""

from typing import Final, TypeVar

from paceline.resources.adapters import adapt
from paceline.resources.registry import Tunables

__all__ = ["Tunables", "pool", "tunables"]

T = TypeVar("T")

tunables: Final = Tunables()
"""The registry that `paceline serve` tunes; `Tunables()` makes an isolated one, for a library or a test."""

_default = tunables


def pool(obj: T, *, name: str, limit: int, tunables: Tunables | None = None) -> T:
    """Limits a connection pool that you have made; the same object comes back, still itself.

        redis = tune.pool(Redis.from_url(URL, max_connections=50), name="redis", limit=20)
        pg = tune.pool(await asyncpg.create_pool(DSN, min_size=0, max_size=40), name="postgres", limit=10)

    At most `limit` connections are lent at a time, and open at the server; callers wait their turn, first come, first
    served. The limit moves with the policy between 1 and what the constructor allows (`max_size`, `max_connections`).
    A timeout of the pool's own counts from the call; it raises `AcquireTimeout`, which is also the error that the
    driver would raise there. A closed pool gives its name back.

    Args:
        obj: `asyncpg.Pool`, `redis.asyncio.Redis` or its `ConnectionPool` or `BlockingConnectionPool`, or a subclass.
        name: the pool's name in the policy.
        limit: connections per process without a tuning document: the start value.
        tunables: the registry, if not the one that `paceline serve` tunes.

    Raises:
        PoolError: unsupported object, limit above what the constructor allows, `min_size` above the limit, name taken.
    """
    adapter = adapt(name, obj, limit)
    (_default if tunables is None else tunables).add_pool(adapter)
    adapter.install()
    return obj
