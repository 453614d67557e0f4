"""Limits the connector of an aiohttp client session that exists already. Reads private parts of aiohttp 3.12.7 to 3.14.

Imports none of it.
"""

import asyncio
import sys
from collections.abc import Awaitable
from contextlib import nullcontext
from functools import partial
from typing import Any, Final

from paceline.errors import PoolError
from paceline.resources.limiter import WAIT_ALONE
from paceline.resources.pools.aiohttp_waits import HostAddresses, HostTurns, handed_over
from paceline.resources.pools.driver import Driver, Member, verify
from paceline.resources.pools.limited_pool import LimitedPool, put_in_front
from paceline.telemetry.outgoing_call import OutgoingCall, begin_call

_REQUEST = ("req", "traces", "timeout")
DRIVER: Final = Driver(
    package="aiohttp",
    lowest="3.12.7",
    members=(
        Member("connect", _REQUEST, asynchronous=True, callers=("aiohttp.client:ClientSession._request",)),
        Member(
            "_release",
            parameters=("key", "protocol", "should_close="),
            callers=("aiohttp.connector:Connection.release", "aiohttp.connector:Connection.close"),
        ),
        Member("_create_connection", _REQUEST, asynchronous=True, callers=("aiohttp.connector:BaseConnector.connect",)),
    ),
    reads=("_acquired", "_acquired_per_host", "limit_per_host", "_conns", "_factory", "_loop", "closed", "limit"),
)
_CLOSE_SECONDS = 2.0
"""A server that does not answer TLS's goodbye in this time is hung up on: others may wait for the room."""


class AiohttpPool(LimitedPool):
    """A permit belongs to one connection, from `connect` to `_release`: to the end of the body, or of a WebSocket.

    aiohttp's own limit counts those checked out; ours counts idle ones too, whatever their host. A connection
    to another host is closed, and gone, before one too many is opened.
    """

    kind = "aiohttp"
    cap_option = "limit"

    def __init__(self, name: str, connector: Any, limit: int) -> None:
        verify(name, DRIVER, connector)
        if not hasattr(connector._factory.func, "closed"):
            raise PoolError(
                f"pool {name!r}: this aiohttp does not tell when a connection is closed; 3.12.7 and newer do"
            )
        if not connector.limit:
            raise PoolError(f"pool {name!r}: limit=0 knows no bound; give the connector a number")
        super().__init__(name, limit, connector.limit)
        self.limiter.notes = WAIT_ALONE  # the end of a body comes in the context of whoever opened the connection
        self._connector = connector
        self._base: Any = type(connector)
        self._turns = HostTurns(name, connector.limit_per_host) if connector.limit_per_host else None
        self._addresses = HostAddresses(connector, self._base) if hasattr(connector, "_resolve_host") else None
        self._granted: dict[Any, float] = {}
        self._calls: dict[Any, OutgoingCall] = {}
        self._live: set[Any] = set()
        self._connecting = 0
        self._one_is_gone = asyncio.Event()

    def install(self) -> None:
        methods: dict[str, Any] = {
            "connect": self.connect,
            "_release": self.release,
            "_create_connection": self.open_connection,
            "close": self.close,
        }
        if self._addresses is not None:
            methods["_resolve_host"] = self._addresses.resolve
        put_in_front(self._connector, self, methods)
        if self._turns is not None:
            self._turns.take_over(self._connector._acquired_per_host)
        for protocol in [
            *self._connector._acquired,
            *(each for idle in self._connector._conns.values() for each, _ in idle),
        ]:
            self._watch(protocol)

    @property
    def open(self) -> int:
        return len(self._live) + self._connecting

    @property
    def closed(self) -> bool:
        return bool(self._connector.closed)

    def sockets(self) -> list[Any]:
        return [protocol.transport for protocol in self._live if protocol.transport is not None]

    def trim(self) -> None:
        if self.open <= self.needed or self._connector._loop.is_closed():
            return
        held = sum(bool(protocol.is_connected()) for protocol in self._live) + self._connecting
        while held > self.needed and self._close_idle():
            held -= 1

    async def connect(self, request: Any, traces: Any, timeout: Any) -> Any:
        """aiohttp's own connect, behind the limiter. `timeout.connect` covers both; aiohttp wraps what we raise."""
        limiter, addresses = self.limiter, self._addresses
        if (
            self._turns is not None
            or limiter.in_use >= limiter.limit
            or (addresses is not None and addresses.needed(request))
        ):
            return await self._connect_after_waiting(request, traces, timeout)
        granted = await limiter.acquire()  # at once, so aiohttp's own timeout covers all of it
        return await self._begin(request, granted, self._base.connect(self._connector, request, traces, timeout))

    async def _connect_after_waiting(self, request: Any, traces: Any, timeout: Any) -> Any:
        """Connects where a turn at the host, an address or a permit has to be waited for."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout.connect is None else loop.time() + timeout.connect
        if self._turns is None:
            return await self._connect(request, traces, timeout, deadline)
        key = request.connection_key
        turn = await self._turns.acquire(key, timeout.connect)
        try:
            connection = await self._connect(request, traces, timeout, deadline)
        except BaseException:
            self._turns.release(key, turn)
            raise
        self._turns.hold(connection.protocol, key, turn)
        return connection

    async def _connect(self, request: Any, traces: Any, timeout: Any, deadline: float | None) -> Any:
        """With a permit, which is taken when neither the host's turn nor its address is waited for any more."""
        looked_up, granted = await self._permit(request, traces, deadline)
        with nullcontext() if looked_up is None else handed_over(looked_up):
            connecting = self._base.connect(self._connector, request, traces, timeout)
            return await self._begin(request, granted, _until(deadline, connecting))

    async def _begin(self, request: Any, granted: float, connecting: Awaitable[Any]) -> Any:
        """The connection, which has its permit and is part of a call of the request under way, to its `_release`."""
        call = _begin_call(self.name, request)
        try:
            connection = await connecting
        except BaseException as error:
            self.limiter.release(granted)
            if call is not None:
                call.end(error=error)
            raise
        self._granted[connection.protocol] = granted
        if call is not None:
            self._calls[connection.protocol] = call
        return connection

    async def _permit(self, request: Any, traces: Any, deadline: float | None) -> tuple[Any, float]:
        """The host's addresses, if they had to be looked up, and a permit."""
        addresses, looked_up = self._addresses, None
        while True:
            if looked_up is None and addresses is not None and addresses.needed(request):
                async with asyncio.timeout_at(deadline):
                    looked_up = await addresses.look_up(request, traces)
            rest = None if deadline is None else max(0.0, deadline - asyncio.get_running_loop().time())
            at_once = self.limiter.in_use < self.limiter.limit
            granted = await self.limiter.acquire(rest)
            if at_once or looked_up is not None or addresses is None or not addresses.needed(request):
                return looked_up, granted
            self.limiter.release(granted)  # while it waited, an idle connection went, or what was known expired

    async def open_connection(self, request: Any, traces: Any, timeout: Any) -> Any:
        """aiohttp's own `_create_connection`, once there is room below the limit."""
        await self._make_room()
        self._connecting += 1
        try:
            protocol = await self._base._create_connection(self._connector, request, traces, timeout)
        finally:
            self._connecting -= 1
        self._watch(protocol)
        return protocol

    def release(self, key: Any, protocol: Any, **options: Any) -> None:
        """aiohttp's own `_release`; what a shrink made too many is closed."""
        granted = self._granted.pop(protocol, None)
        call = self._calls.pop(protocol, None)
        if call is not None:
            call.end()
        if self._turns is not None:
            self._turns.came_back(protocol)
        try:
            self._base._release(self._connector, key, protocol, **options)
        finally:
            if granted is not None:
                self.limiter.release(granted)
                self.trim()

    def close(self, *arguments: Any, **options: Any) -> Any:
        """aiohttp's own close; who waits is told, as those that wait in the connector are."""
        try:
            return self._base.close(self._connector, *arguments, **options)
        finally:
            self.limiter.turn_away(_closed_error)
            if self._turns is not None:
                self._turns.turn_away(_closed_error)

    async def _make_room(self) -> None:
        """Closes idle connections, which are to other hosts, and waits for those that close."""
        while self.open >= self.needed:
            closing = any(not protocol.is_connected() for protocol in self._live)
            if not closing and not self._close_idle():
                return  # all are checked out: under an earlier, higher limit, under which this one was granted too
            self._one_is_gone.clear()
            await self._one_is_gone.wait()

    def _close_idle(self) -> bool:
        """Starts to close the connection that was idle longest; False if none is."""
        idle = self._connector._conns
        key = min(idle, key=lambda each: idle[each][0][1], default=None)
        if key is None:
            return False
        protocol, _ = idle[key].popleft()  # nobody may take it while it closes
        if not idle[key]:
            del idle[key]
        transport = protocol.transport
        if transport is not None:
            protocol.close()
            self._connector._loop.call_later(_CLOSE_SECONDS, transport.abort)
        return True

    def _watch(self, protocol: Any) -> None:
        closed = getattr(protocol, "closed", None)  # a connection that is being opened has a placeholder
        if closed is not None and protocol.transport is not None:
            self._live.add(protocol)
            closed.add_done_callback(partial(self._lost, protocol))

    def _lost(self, protocol: Any, closed: "asyncio.Future[None]") -> None:
        closed.cancelled() or closed.exception()  # nobody else reads it
        self._live.discard(protocol)
        self._one_is_gone.set()


async def _until(deadline: float | None, connecting: Awaitable[Any]) -> Any:
    async with asyncio.timeout_at(deadline):
        return await connecting


def _begin_call(pool: str, request: Any) -> OutgoingCall | None:
    call = begin_call(pool, request.method, request.url.host or "", request.url.port)
    if call is not None:
        call.hand_on(lambda value: request.headers.setdefault("traceparent", value))
    return call


def _closed_error() -> Exception:
    error: Exception = sys.modules["aiohttp"].ClientConnectionError("Connector is closed")
    return error
