"""Limits an `AsyncMongoClient` that exists already. Reads private parts of pymongo 4.13 to 4.20.

pymongo is imported only when an object of it was handed over.
"""

import asyncio
from contextlib import suppress
from functools import cache
from typing import Any, Final
from weakref import WeakSet

from paceline.errors import AcquireTimeout, PoolError
from paceline.resources.pools.driver import REMEDY, Driver, Member, verify
from paceline.resources.pools.limited_pool import LimitedPool, loop_runs, put_in_front

DRIVER: Final = Driver(
    package="pymongo",
    lowest="4.13",
    members=(
        Member(
            "_get_conn",
            parameters=("checkout_started_time", "handler"),
            asynchronous=True,
            callers=("pymongo.asynchronous.pool:_PoolCheckout.__aenter__ or pymongo.asynchronous.pool:Pool.checkout",),
        ),
        Member(
            "checkin",
            parameters=("conn",),
            asynchronous=True,
            callers=("pymongo.asynchronous.pool:AsyncConnection.unpin",),
        ),
        Member(
            "connect",
            parameters=("handler",),
            asynchronous=True,
            callers=("pymongo.asynchronous.pool:Pool._get_conn", "pymongo.asynchronous.pool:Pool.remove_stale_sockets"),
        ),
        Member(
            "remove_stale_sockets",
            parameters=("reference_generation",),
            asynchronous=True,
            callers=("pymongo.asynchronous.topology:Topology.update_pool",),
        ),
    ),
    links=(("pymongo.asynchronous.topology:Topology._create_pool_for_server", "pool_class"),),
    reads=("_topology", "_topology_settings", "_resolve_srv_info", "_closed", "options"),
)
_FLOOR = "_PoolOptions__min_pool_size"


class PymongoPool(LimitedPool):
    """One limit for the client, whatever servers its deployment has. See docs/decisions/0008.

    pymongo has a pool for each server, made when the server is discovered, of a class that the client's settings
    name: there ours comes in. A permit belongs to one connection from `_get_conn` to `checkin`, also while a cursor
    or a transaction pins it. The two connections with which a client watches each server are not counted.
    """

    kind = "pymongo"
    cap_option = "maxPoolSize"

    def __init__(self, name: str, client: Any, limit: int) -> None:
        verify(name, DRIVER, client, _pool_class(name, client))
        options = client.options.pool_options
        if not options.max_pool_size or options.max_pool_size == float("inf"):
            raise PoolError(f"pool {name!r}: maxPoolSize=0 knows no bound; give the client a number")
        super().__init__(name, limit, options.max_pool_size)
        self._client = client
        self._base: Any = None
        self._min_size: int = options.min_pool_size
        self._granted: dict[Any, float] = {}
        self._connecting = 0
        self._closing: set[asyncio.Task[None]] = set()
        self._seen: WeakSet[Any] = WeakSet()
        """Connections that were opened, those that watch a server too."""

    def install(self) -> None:
        settings = self._client._topology_settings
        self._base = settings.pool_class
        # Plain functions, so that each is given its pool.
        methods = {
            "_get_conn": lambda pool, *arguments, **options: self.get(pool, *arguments, **options),
            "checkin": lambda pool, connection: self.give_back(pool, connection),
            "connect": lambda pool, *arguments, **options: self.connect(pool, *arguments, **options),
            "remove_stale_sockets": lambda pool, generation: self.keep_floor(pool, generation),
        }
        limited = type(self._base.__name__, (self._base,), {"__module__": self._base.__module__, **methods})
        settings._pool_class = limited
        # A mongodb+srv client makes its settings anew once it has resolved its name.
        self._client._resolve_srv_info["pool_class"] = limited
        for pool in self._pools():
            pool.__class__ = limited
            self._seen.update(pool.conns)
        put_in_front(self._client, self, {})

    @property
    def open(self) -> int:
        idle = sum(len(pool.conns) for pool in self._pools())
        return idle + len(self._granted) + self._connecting + len(self._closing)

    @property
    def closed(self) -> bool:
        return bool(self._client._closed)

    def sockets(self) -> list[Any]:
        return [connection.conn.sock for connection in self._seen if not connection.closed]

    def trim(self) -> None:
        if not loop_runs():
            return  # without a loop the next return does it
        while self.open - len(self._closing) > self.needed and self._close_idle():
            pass

    async def get(self, pool: Any, *arguments: Any, **options: Any) -> Any:
        """pymongo's own `_get_conn`, behind the limiter."""
        if pool.is_sdam:
            return await self._base._get_conn(pool, *arguments, **options)
        try:
            granted = await self.limiter.acquire(_timeout(pool))
        except AcquireTimeout as error:
            raise _acquire_timeout()(str(error)) from None
        try:
            connection = await self._base._get_conn(pool, *arguments, **options)
        except BaseException:
            self._return(granted)
            raise
        self._granted[connection] = granted
        return connection

    async def give_back(self, pool: Any, connection: Any) -> None:
        """pymongo's own `checkin`."""
        try:
            await self._base.checkin(pool, connection)
        finally:
            granted = self._granted.pop(connection, None)
            if granted is not None:
                self._return(granted)

    async def connect(self, pool: Any, *arguments: Any, **options: Any) -> Any:
        """pymongo's own `connect`, once there is room below the limit."""
        if pool.is_sdam:
            connection = await self._base.connect(pool, *arguments, **options)
        else:
            await self._make_room()
            self._connecting += 1
            try:
                connection = await self._base.connect(pool, *arguments, **options)
            finally:
                self._connecting -= 1
        self._seen.add(connection)
        return connection

    async def keep_floor(self, pool: Any, generation: int) -> None:
        """pymongo's own `remove_stale_sockets`, which opens connections for nobody up to `minPoolSize`."""
        if not self._min_size:
            await self._base.remove_stale_sockets(pool, generation)
            return
        granted = await self.limiter.acquire()
        try:
            # Above the limit, the two would fight. Nothing but this method reads it.
            setattr(pool.opts, _FLOOR, min(self._min_size, self.limiter.limit // len(self._pools())))
            await self._base.remove_stale_sockets(pool, generation)
        finally:
            self._return(granted)

    def _pools(self) -> list[Any]:
        topology = self._client._topology
        return [] if topology is None else [server.pool for server in topology._servers.values()]

    def _return(self, granted: float) -> None:
        self.limiter.release(granted)
        self.trim()

    async def _make_room(self) -> None:
        """Closes idle connections, which are to other servers, and waits for those that close."""
        while self.open >= self.needed:
            if not self._closing and not self._close_idle():
                return  # all are checked out: under an earlier, higher limit, under which this one was granted too
            await asyncio.wait(self._closing, return_when=asyncio.FIRST_COMPLETED)

    def _close_idle(self) -> bool:
        """Starts to close the connection that was idle longest; False if none is."""
        idle = [pool.conns for pool in self._pools() if pool.conns]
        if not idle:
            return False
        longest = max(idle, key=lambda connections: connections[-1].idle_time_seconds())
        # Taken out of the queue, so that nobody is given it while it closes.
        task = asyncio.get_running_loop().create_task(_close(longest.pop()))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return True


def _pool_class(name: str, client: Any) -> Any:
    settings = getattr(client, "_topology_settings", None)
    found = getattr(settings, "pool_class", None)
    renewed = getattr(client, "_resolve_srv_info", {})
    if (
        not isinstance(found, type)
        or getattr(settings, "_pool_class", None) is not found
        or "pool_class" not in renewed
    ):
        raise PoolError(f"pool {name!r}: this pymongo does not say of which class its pools are; {REMEDY}")
    return found


async def _close(connection: Any) -> None:
    with suppress(Exception):  # whatever happens to a connection that closes, it is gone afterwards
        await connection.close_conn("idle")


def _timeout(pool: Any) -> float | None:
    """What is left of `pymongo.timeout()` or `timeoutMS`; without them `waitQueueTimeoutMS`."""
    from pymongo import _csot

    remaining = _csot.remaining()
    timeout: float | None = pool.opts.wait_queue_timeout if remaining is None else max(0.0, remaining)
    return timeout


@cache
def _acquire_timeout() -> type[AcquireTimeout]:
    """Ours and pymongo's: code that catches what a full pool raises goes on working."""
    from pymongo.errors import WaitQueueTimeoutError

    class PymongoAcquireTimeout(WaitQueueTimeoutError, AcquireTimeout):
        """No MongoDB connection became free in time."""

    return PymongoAcquireTimeout
