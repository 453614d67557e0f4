"""Limits a `redis.asyncio` connection pool that exists already. Reads private parts of redis-py 5.0.2 to 8: the
blocking pool of 5.0.1 waits for itself when opening a connection is cancelled.

redis-py is imported only when an object of it was handed over.
"""

import asyncio
from contextlib import suppress
from functools import cache
from typing import Any, Final

from paceline.errors import AcquireTimeout
from paceline.resources.pools.driver import Driver, Member, verify
from paceline.resources.pools.limited_pool import LimitedPool, loop_runs, put_in_front

DRIVER: Final = Driver(
    package="redis",
    lowest="5.0.2",
    members=(
        Member(
            "get_connection",
            parameters=("command_name", "*keys", "**options"),
            asynchronous=True,
            callers=("redis.asyncio.client:Redis.execute_command", "redis.asyncio.client:Pipeline.execute"),
        ),
        Member(
            "release",
            parameters=("connection",),
            asynchronous=True,
            callers=("redis.asyncio.client:Redis.execute_command",),
        ),
        Member("disconnect", parameters=("inuse_connections",), asynchronous=True),
    ),
    reads=("_available_connections", "_in_use_connections", "max_connections"),
)
DEFAULT_TIMEOUT_SECONDS = 20.0
"""Longest wait in a plain `ConnectionPool`, which knows none; as long as `BlockingConnectionPool`'s own default."""


class RedisPool(LimitedPool):
    """A permit belongs to one connection object, from `get_connection` to `release`, whatever holds it between.

    A plain `ConnectionPool` waits for its turn where redis-py would raise `MaxConnectionsError` at once.
    """

    kind = "redis"
    cap_option = "max_connections"

    def __init__(self, name: str, pool: Any, limit: int) -> None:
        verify(name, DRIVER, pool)
        super().__init__(name, limit, pool.max_connections)
        self._pool = pool
        self._base: Any = type(pool)
        self._granted: dict[Any, float] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    def install(self) -> None:
        methods = {"get_connection": self.acquire, "release": self.release, "disconnect": self.disconnect}
        put_in_front(self._pool, self, methods)

    @property
    def open(self) -> int:
        idle = sum(bool(connection.is_connected) for connection in self._pool._available_connections)
        return idle + len(self._pool._in_use_connections) + len(self._closing)

    @property
    def closed(self) -> bool:
        return self._closed

    def sockets(self) -> list[Any]:
        connections = [*self._pool._available_connections, *self._pool._in_use_connections]
        return [each._writer.transport for each in connections if each.is_connected]

    def trim(self) -> None:
        idle, in_use = self._pool._available_connections, self._pool._in_use_connections
        if len(idle) + len(in_use) <= self.needed or not loop_runs():
            return  # without a loop the next release does it
        while idle and len(idle) + len(in_use) > self.needed:
            # The one idle longest. Taken out of the list, so that nobody is given it while it closes.
            self._start_closing(idle.pop(0))

    async def acquire(self, *arguments: Any, **options: Any) -> Any:
        """redis-py's own get_connection, behind the limiter."""
        self._closed = False
        try:
            granted = await self.limiter.acquire(getattr(self._pool, "timeout", DEFAULT_TIMEOUT_SECONDS))
        except AcquireTimeout as error:
            raise _acquire_timeout()(str(error)) from None
        try:
            connection = await self._base.get_connection(self._pool, *arguments, **options)
        except BaseException:
            self._return(granted)
            raise
        self._granted[connection] = granted
        return connection

    async def release(self, connection: Any) -> None:
        """redis-py's own release; it calls it too for a connection that it could not open, which has no permit yet."""
        granted = self._granted.pop(connection, None)
        try:
            await self._base.release(self._pool, connection)
        finally:
            if granted is not None:
                self._return(granted)

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """redis-py's own disconnect; the pool may be used again afterwards, and then counts as open."""
        self._closed = inuse_connections
        await self._base.disconnect(self._pool, inuse_connections)
        if self._closing:
            await asyncio.wait(self._closing)

    def _return(self, granted: float) -> None:
        self.limiter.release(granted)
        self.trim()

    def _start_closing(self, connection: Any) -> None:
        if not connection.is_connected:
            return
        task = asyncio.get_running_loop().create_task(_close(connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _close(connection: Any) -> None:
    with suppress(Exception):  # whatever happens to a connection that closes, it is gone afterwards
        await connection.disconnect()


@cache
def _acquire_timeout() -> type[AcquireTimeout]:
    """Ours and redis-py's: code that catches what `BlockingConnectionPool` raises goes on working."""
    from redis.exceptions import ConnectionError as RedisConnectionError

    class RedisAcquireTimeout(AcquireTimeout, RedisConnectionError):
        """No Redis connection became free in time."""

    return RedisAcquireTimeout
