"""Limits `psycopg_pool.AsyncConnectionPool` and `ConnectionPool`: their own `resize`, and a limiter in front.

psycopg_pool has waiters of its own and would keep what is idle above a lowered `max_size` for minutes. Reads private
parts of psycopg_pool 3.2 and 3.3, and imports none of it.
"""

import asyncio
import threading
from contextlib import suppress
from functools import cache
from time import monotonic
from typing import Any, Final

from paceline.errors import AcquireTimeout, PoolError
from paceline.resources.blocking_limiter import BlockingLimiter
from paceline.resources.pools.driver import Driver, Member, verify
from paceline.resources.pools.limited_pool import LimitedPool, loop_runs, put_in_front


def _driver(kind: str, *, asynchronous: bool) -> Driver:
    module = "pool_async" if asynchronous else "pool"
    callers = (f"psycopg_pool.{module}:{kind}.connection",)
    return Driver(
        package="psycopg_pool",
        lowest="3.2",
        members=(
            Member("getconn", ("timeout",), asynchronous, callers),
            Member("putconn", ("conn",), asynchronous, callers),
            Member("resize", ("min_size", "max_size"), asynchronous),
        ),
        entries=("connection",),
        reads=("_pool", "_nconns", "_min_size", "_max_size", "_opened", "closed", "timeout", "max_waiting"),
    )


ASYNC_DRIVER: Final = _driver("AsyncConnectionPool", asynchronous=True)
SYNC_DRIVER: Final = _driver("ConnectionPool", asynchronous=False)


class _PsycopgPool(LimitedPool):
    """A permit belongs to one connection, from `getconn` to `putconn`."""

    kind = "psycopg"
    cap_option = "max_size"
    driver: Driver

    def __init__(self, name: str, pool: Any, limit: int) -> None:
        verify(name, self.driver, pool)
        if ".null_pool" in type(pool).__module__ or any(".null_pool" in base.__module__ for base in type(pool).__mro__):
            raise PoolError(f"pool {name!r}: a null pool keeps no connections; hand over a pool that does")
        self._min_size: int = pool._min_size
        super().__init__(name, limit, pool._max_size)
        self._pool = pool
        self._base: Any = type(pool)
        self._granted: dict[Any, float] = {}
        self._closing = 0

    def check(self, limit: int) -> None:
        super().check(limit)
        if self._min_size > limit:
            raise PoolError(
                f"pool {self.name!r}: min_size={self._min_size} keeps more connections open than the limit {limit}; "
                "pass min_size=0 where it is made (its default is 4)"
            )

    @property
    def open(self) -> int:
        opened = 0 if self._pool.closed else int(self._pool._nconns)
        return opened + self._closing if self._pool._opened else 0

    @property
    def closed(self) -> bool:
        return bool(self._pool._opened and self._pool.closed)

    def sockets(self) -> list[Any]:
        return [each for each in [*self._granted, *self._pool._pool] if not each.closed]

    def _resize_unopened(self) -> None:
        pool = self._pool
        pool._min_size = min(self._min_size, self.limiter.limit)
        pool._max_size = self.limiter.limit
        pool._nconns = min(pool._nconns, pool._min_size)  # how many it opens to begin with

    def _new_min_size(self) -> int:
        # Set beforehand: a resize that raises it opens that many at once, however many there are already.
        self._pool._min_size = min(self._min_size, self.limiter.limit)
        return int(self._pool._min_size)

    def _take_surplus(self) -> list[Any]:
        """Idle connections that are not needed, for closing; under the pool's lock."""
        pool, surplus = self._pool, []
        while pool._nconns > self.needed and pool._pool:
            surplus.append(pool._pool.popleft())
            pool._nconns -= 1
            self._closing += 1
        return surplus

    def _closed_error(self) -> Exception:
        error: Exception = _errors().PoolClosed(f"pool {self.name!r}: it was closed while a connection was waited for")
        return error

    def _refuse_beyond_max_waiting(self) -> None:
        allowed, limiter = self._pool.max_waiting, self.limiter
        if allowed and limiter.in_use >= limiter.limit and limiter.waiting >= allowed:
            raise _errors().TooManyRequests(
                f"pool {self.name!r}: max_waiting={allowed} callers wait for a connection already"
            )


class AsyncPsycopgPool(_PsycopgPool):
    """For `AsyncConnectionPool`; tasks wait, first come, first served."""

    driver = ASYNC_DRIVER

    def __init__(self, name: str, pool: Any, limit: int) -> None:
        super().__init__(name, pool, limit)
        self._tasks: set[asyncio.Task[None]] = set()

    def install(self) -> None:
        put_in_front(self._pool, self, {"getconn": self.acquire, "putconn": self.release, "close": self.close})

    def set_limit(self, limit: int) -> None:
        self.limiter.set_limit(limit)
        if hasattr(self._pool, "_lock") and loop_runs():
            self._start(self._resize())
        else:
            self._resize_unopened()

    def trim(self) -> None:
        if self._pool._nconns > self.needed and self._pool._pool and loop_runs():
            self._start(self._close_surplus())

    async def acquire(self, timeout: float | None = None) -> Any:
        """psycopg_pool's own getconn, behind the limiter. `timeout` covers both."""
        if self._pool.closed:
            return await self._base.getconn(self._pool, timeout)  # raises what it says to that, or opens
        seconds = self._pool.timeout if timeout is None else timeout
        deadline = monotonic() + seconds
        self._refuse_beyond_max_waiting()
        try:
            granted = await self.limiter.acquire(seconds)
        except AcquireTimeout as error:
            raise _acquire_timeout()(str(error)) from None
        try:
            connection = await self._base.getconn(self._pool, max(0.001, deadline - monotonic()))
        except BaseException:
            self.limiter.release(granted)
            raise
        self._granted[connection] = granted
        return connection

    async def release(self, conn: Any) -> None:
        """psycopg_pool's own putconn; what a shrink made too many is closed."""
        granted = self._granted.pop(conn, None)
        try:
            await self._base.putconn(self._pool, conn)
        finally:
            if granted is not None:
                self.limiter.release(granted)
                self.trim()

    async def close(self, *arguments: Any, **options: Any) -> None:
        """psycopg_pool's own close; who waits for a permit is told, as those that wait in the pool are."""
        try:
            await self._base.close(self._pool, *arguments, **options)
        finally:
            self.limiter.turn_away(self._closed_error)

    def _start(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _resize(self) -> None:
        await self._base.resize(self._pool, self._new_min_size(), self.limiter.limit)
        await self._close_surplus()

    async def _close_surplus(self) -> None:
        async with self._pool._lock:
            surplus = self._take_surplus()
        for connection in surplus:
            with suppress(Exception):  # whatever happens to a connection that closes, it is gone afterwards
                await connection.close()
            self._closing -= 1


class SyncPsycopgPool(_PsycopgPool):
    """For `ConnectionPool`: threads wait, first come, first served."""

    driver = SYNC_DRIVER
    limiter: BlockingLimiter  # type: ignore[assignment]  # the same attributes, and it blocks
    make_limiter = BlockingLimiter  # type: ignore[assignment]

    def install(self) -> None:
        put_in_front(self._pool, self, {"getconn": self.acquire, "putconn": self.release, "close": self.close})

    def set_limit(self, limit: int) -> None:
        self.limiter.set_limit(limit)
        if self._pool._opened:
            self._base.resize(self._pool, self._new_min_size(), limit)
            self.trim()
        else:
            self._resize_unopened()

    def trim(self) -> None:
        if self._pool._nconns <= self.needed or not self._pool._pool:
            return
        with self._pool._lock:
            surplus = self._take_surplus()
        if surplus:
            threading.Thread(
                target=self._close_all, args=(surplus,), name=f"paceline-trim-{self.name}", daemon=True
            ).start()

    def acquire(self, timeout: float | None = None) -> Any:
        """psycopg_pool's own getconn, behind the limiter. `timeout` covers both."""
        if self._pool.closed:
            return self._base.getconn(self._pool, timeout)  # raises what it says to that, or opens
        seconds = self._pool.timeout if timeout is None else timeout
        deadline = monotonic() + seconds
        self._refuse_beyond_max_waiting()
        try:
            granted = self.limiter.acquire(seconds)
        except AcquireTimeout as error:
            raise _acquire_timeout()(str(error)) from None
        try:
            connection = self._base.getconn(self._pool, max(0.001, deadline - monotonic()))
        except BaseException:
            self.limiter.release(granted)
            raise
        self._granted[connection] = granted
        return connection

    def release(self, conn: Any) -> None:
        """psycopg_pool's own putconn; what a shrink made too many is closed."""
        granted = self._granted.pop(conn, None)
        try:
            self._base.putconn(self._pool, conn)
        finally:
            if granted is not None:
                self.limiter.release(granted)
                self.trim()

    def close(self, *arguments: Any, **options: Any) -> None:
        """psycopg_pool's own close; who waits for a permit is told, as those that wait in the pool are."""
        try:
            self._base.close(self._pool, *arguments, **options)
        finally:
            self.limiter.turn_away(self._closed_error)

    def _close_all(self, surplus: list[Any]) -> None:
        for connection in surplus:
            with suppress(Exception):  # whatever happens to a connection that closes, it is gone afterwards
                connection.close()
            with self._pool._lock:
                self._closing -= 1


def _errors() -> Any:
    import psycopg_pool

    return psycopg_pool


@cache
def _acquire_timeout() -> type[AcquireTimeout]:
    """Ours and psycopg_pool's: code that catches what a full pool raises goes on working."""
    pool_timeout: Any = _errors().PoolTimeout

    class PsycopgAcquireTimeout(AcquireTimeout, pool_timeout):  # type: ignore[misc]  # the base is known when it runs
        """No PostgreSQL connection became free in time."""

    return PsycopgAcquireTimeout
