"""Limits an `asyncpg.Pool` that exists already. Reads private parts of asyncpg 0.29 to 0.32, and imports none of it."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Final

from paceline.errors import PoolError
from paceline.resources.pools.driver import Driver, Member, verify
from paceline.resources.pools.limited_pool import LimitedPool, put_in_front

DRIVER: Final = Driver(
    package="asyncpg",
    lowest="0.29",
    members=(
        Member(
            "_acquire",
            parameters=("timeout",),
            asynchronous=True,
            callers=("asyncpg.pool:PoolAcquireContext.__aenter__", "asyncpg.pool:PoolAcquireContext.__await__"),
        ),
        Member("_get_new_connection", asynchronous=True, callers=("asyncpg.pool:PoolConnectionHolder.connect",)),
    ),
    entries=("acquire",),
    links=(("asyncpg.pool:Pool.acquire", "PoolAcquireContext"),),
    reads=("_maxsize", "_minsize", "_holders", "_queue", "_loop", "_initialized", "is_closing"),
)
_ASK_SECONDS = 2.0
_CLOSE_SECONDS = 2.0
"""A server that does not answer a goodbye in this time is hung up on: others may wait for the room."""


class AsyncpgPool(LimitedPool):
    """Server connections never exceed the limit, except those checked out under an earlier, higher one.

    A permit lives exactly as long as asyncpg's own mark that it is checked out (`holder._in_use`): it comes back on
    release, and also when the server kills the connection or a reset fails, where `Pool.release` never gets to know.
    """

    kind = "asyncpg"
    cap_option = "max_size"

    def __init__(self, name: str, pool: Any, limit: int) -> None:
        verify(name, DRIVER, pool)
        self._min_size: int = pool._minsize
        super().__init__(name, limit, pool._maxsize)
        self._pool = pool
        self._base: Any = type(pool)
        self._surplus = False
        self._connecting: set[asyncio.Future[None]] = set()
        self._closing: dict[Any, asyncio.Task[None]] = {}
        self._server_max: int | None = None
        self._asked = False

    def check(self, limit: int) -> None:
        super().check(limit)
        if self._min_size > limit:
            raise PoolError(
                f"pool {self.name!r}: min_size={self._min_size} keeps more connections open than the limit {limit}; "
                "pass min_size=0 to create_pool (its default is 10)"
            )

    def install(self) -> None:
        put_in_front(self._pool, self, {"_acquire": self.acquire, "_get_new_connection": self.connect})

    @property
    def open(self) -> int:
        return self._kept() + len(self._connecting) + len(self._closing)

    @property
    def closed(self) -> bool:
        return bool(self._pool.is_closing())

    @property
    def server_max_connections(self) -> int | None:
        return self._server_max

    def sockets(self) -> list[Any]:
        return [holder._con._transport for holder in self._pool._holders if holder.is_connected()]

    def set_limit(self, limit: int) -> None:
        # Since 0.32 min_size is a floor that asyncpg keeps up; above the limit, the two would fight.
        self._pool._minsize = min(self._min_size, limit)
        self._surplus = True
        super().set_limit(limit)

    def trim(self) -> None:
        if self._pool._loop.is_closed():
            return  # abandoned with its loop; nothing can be closed any more
        held = self._kept() + len(self._connecting)
        while held > self.needed and self._close_idle():
            held -= 1
        self._surplus = held > self.limiter.limit

    async def acquire(self, timeout: float | None) -> Any:
        """asyncpg's own acquire, behind the limiter. `timeout` covers both."""
        if self._pool.is_closing() or not self._pool._initialized:
            return await self._base._acquire(self._pool, timeout)  # raises what asyncpg says to that
        loop = self._pool._loop
        deadline = None if timeout is None else loop.time() + timeout
        granted = await self.limiter.acquire(timeout)
        try:
            remaining = None if deadline is None else max(0.0, deadline - loop.time())
            connection = await self._base._acquire(self._pool, remaining)
        except BaseException:
            self.limiter.release(granted)
            raise
        if connection._con is None:  # lost while asyncpg handed it over
            self.limiter.release(granted)
            return connection
        holder = connection._holder
        holder._timeout = timeout  # the default for release; what we passed was shortened
        holder._in_use.add_done_callback(partial(self._returned, granted))
        return connection

    async def connect(self) -> Any:
        """asyncpg's own connect, once there is room below the limit."""
        await self._make_room()
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connecting.add(opened)
        try:
            connection = await self._base._get_new_connection(self._pool)
            await self._learn_server_limit(connection)
            return connection
        finally:
            self._connecting.discard(opened)
            opened.set_result(None)
            if self._surplus:  # shrunk meanwhile, and asyncpg opens some for nobody: its floor
                self._pool._loop.call_soon(self.trim)

    async def _make_room(self) -> None:
        """Closes idle connections for one that opens: asyncpg opens some while others are idle, after a lost one."""
        while self.open >= self.limiter.limit:
            self._close_idle()
            under_way = {*self._connecting, *self._closing.values()}
            if not under_way:
                # All are checked out under an earlier, higher limit, under which this one was granted too.
                self._surplus = True
                return
            await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)

    def _kept(self) -> int:
        """Connections checked out, or idle and not about to close."""
        kept: Iterator[bool] = (holder._in_use is not None or holder.is_connected() for holder in self._pool._holders)
        about_to_close = (bool(holder.is_connected()) for holder in self._closing)
        return sum(kept) - sum(about_to_close)

    def _close_idle(self) -> bool:
        """Starts to close the connection that was idle longest; False if none is."""
        queue = self._pool._queue
        idle = next((holder for holder in queue._queue if holder.is_connected()), None) if queue is not None else None
        if idle is None:
            return False
        queue._queue.remove(idle)  # nobody may take it while it closes
        self._closing[idle] = self._pool._loop.create_task(self._close(idle))
        return True

    async def _close(self, holder: Any) -> None:
        # Gracefully: the server closes its end last, so it has forgotten the connection when this returns.
        try:
            with suppress(Exception):  # whatever happens to a connection that closes, it is gone afterwards
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await holder.close()
        finally:
            del self._closing[holder]
            queue = self._pool._queue
            queue.put_nowait(holder)
            queue._queue.insert(0, queue._queue.pop())  # to the bottom: open ones are given out first

    def _returned(self, granted: float, _: "asyncio.Future[None]") -> None:
        self.limiter.release(granted)
        if self._surplus and not self._pool.is_closing():
            self.trim()

    async def _learn_server_limit(self, connection: Any) -> None:
        """Asks once, on the first connection. Nice to know; a pooler may not answer."""
        if self._asked:
            return
        try:
            with suppress(Exception):
                self._server_max = int(await connection.fetchval("SHOW max_connections", timeout=_ASK_SECONDS))
        except BaseException:
            connection.terminate()  # cancelled: nobody else knows this connection yet
            raise
        self._asked = True
