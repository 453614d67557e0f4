"""Limits the pool of an async SQLAlchemy engine that exists already. Reads private parts of SQLAlchemy 2.0
and 2.1, from 2.0.25 on: before, an async engine could block its event loop for ever after `dispose`.

SQLAlchemy is imported only when an object of it was handed over.
"""

import asyncio
from contextlib import suppress
from functools import cache
from typing import Any, Final

from paceline.errors import AcquireTimeout, PoolError
from paceline.resources.pools.driver import Driver, Member, verify
from paceline.resources.pools.limited_pool import LimitedPool, loop_runs, put_in_front

DRIVER: Final = Driver(
    package="sqlalchemy",
    lowest="2.0.25",
    members=(
        Member("_do_get", callers=("sqlalchemy.pool.base:_ConnectionRecord.checkout",)),
        Member("_do_return_conn", parameters=("record",), callers=("sqlalchemy.pool.base:Pool._return_conn",)),
        Member("recreate", callers=("sqlalchemy.engine.base:Engine.dispose",)),
    ),
    entries=("connect", "_return_conn"),
    links=(("sqlalchemy.pool.base:_ConnectionRecord.checkin", "_return_conn"),),
    reads=("_pool", "_timeout", "_max_overflow", "_dec_overflow", "size", "overflow", "checkedin"),
)


class SqlalchemyPool(LimitedPool):
    """A permit belongs to one checkout of one connection record, from `_do_get` to `_do_return_conn`.

    `engine.dispose()` puts a new pool in the place of the old one: the limiter goes along, and connections that are
    still out are closed when they come back.
    """

    kind = "sqlalchemy"
    cap_option = "pool_size + max_overflow"

    def __init__(self, name: str, pool: Any, limit: int) -> None:
        verify(name, DRIVER, pool)
        if pool.size() < 1 or pool._max_overflow < 0:
            raise PoolError(f"pool {name!r}: pool_size=0 and max_overflow=-1 know no bound; give the engine numbers")
        super().__init__(name, limit, pool.size() + pool._max_overflow)
        self._pool = pool
        self._base: Any = type(pool)
        self._granted: dict[Any, float] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False
        self._strays = 0
        """Connections that were out when their pool was disposed of."""

    def install(self) -> None:
        # Plain functions, so that each is given its pool: `dispose` makes a second one of the same class.
        methods = {
            "_do_get": lambda pool: self.get(pool),
            "_do_return_conn": lambda pool, record: self.give_back(pool, record),
            "recreate": lambda pool: self.recreate(pool),
        }
        put_in_front(self._pool, self, methods)

    @property
    def open(self) -> int:
        # Counts from before a connection is opened until after it is closed.
        return int(self._pool.size() + self._pool.overflow()) + self._strays

    @property
    def closed(self) -> bool:
        return self._closed

    def sockets(self) -> list[Any]:
        records = [*self._granted, *self._pool._pool._queue._queue]
        return [each for record in records if (each := transport(record.driver_connection)) is not None]

    def trim(self) -> None:
        if not loop_runs():
            return  # without a loop the next return does it
        while self.open - len(self._closing) > self.needed:
            try:
                record = self._pool._pool.get(block=False)
            except empty():
                return
            task = asyncio.get_running_loop().create_task(_in_greenlet(close, self._pool, record))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def get(self, pool: Any) -> Any:
        """SQLAlchemy's own `_do_get`, behind the limiter; runs in a greenlet."""
        self._closed = False
        try:
            granted = _await_only(self.limiter.acquire(pool._timeout))
        except AcquireTimeout as error:
            raise acquire_timeout()(str(error)) from None
        try:
            self._make_room(pool)
            record = self._base._do_get(pool)
        except BaseException:
            self.limiter.release(granted)
            raise
        self._granted[record] = granted
        self._strays += pool is not self._pool
        return record

    def give_back(self, pool: Any, record: Any) -> None:
        """SQLAlchemy's own `_do_return_conn`; what a shrink made too many is closed and not kept."""
        granted = self._granted.pop(record, None)
        try:
            if pool is not self._pool:
                close(pool, record)  # nobody will ask this pool for it again
                self._strays -= 1
            elif self.open - len(self._closing) > max(self.limiter.limit, self.limiter.in_use - 1):
                close(pool, record)
            else:
                self._base._do_return_conn(pool, record)
        finally:
            if granted is not None:
                self.limiter.release(granted)

    def recreate(self, pool: Any) -> Any:
        """SQLAlchemy's own `recreate`, which `dispose` calls; the new pool is of the same class, hence limited too."""
        self._strays = len(self._granted)  # not `checkedout()`: SQLAlchemy 2.0 has set it back by now
        self._pool, self._closed = self._base.recreate(pool), True
        return self._pool

    def _make_room(self, pool: Any) -> None:
        """Waits for connections that are being closed, where another would be one too many for the server."""
        while self._closing and not pool.checkedin() and self.open >= self.needed:
            _await_only(asyncio.wait(self._closing, return_when=asyncio.FIRST_COMPLETED))


def transport(connection: Any) -> Any:
    """Of asyncpg's connection, aiomysql's or asyncmy's, psycopg's; None for what has no socket, like SQLite."""
    if hasattr(connection, "_transport"):
        return connection._transport
    if getattr(connection, "_sock", None) is not None:  # of PyMySQL
        return connection._sock
    writer = getattr(connection, "_writer", None)
    if writer is not None:
        return writer.transport
    return connection if hasattr(connection, "fileno") else None


def close(pool: Any, record: Any) -> None:
    """Closes a connection that is in nobody's hands; runs in a greenlet."""
    try:
        with suppress(Exception):  # whatever happens to a connection that closes, it is gone afterwards
            record.close()
    finally:
        pool._dec_overflow()


def _await_only(awaitable: Any) -> Any:
    from sqlalchemy.util import await_only

    return await_only(awaitable)


async def _in_greenlet(function: Any, *arguments: Any) -> None:
    from sqlalchemy.util import greenlet_spawn

    await greenlet_spawn(function, *arguments)


def empty() -> type[Exception]:
    from sqlalchemy.util.queue import Empty

    return Empty


@cache
def acquire_timeout() -> type[AcquireTimeout]:
    """Ours and SQLAlchemy's: code that catches what a full `QueuePool` raises goes on working."""
    from sqlalchemy.exc import TimeoutError as SqlalchemyTimeoutError

    class SqlalchemyAcquireTimeout(AcquireTimeout, SqlalchemyTimeoutError):
        """No database connection became free in time."""

    return SqlalchemyAcquireTimeout
