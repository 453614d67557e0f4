"""Limits the pools of an httpx or httpx2 client that exists already. Reads private parts of httpx 0.27 and
0.28 with httpcore 1.0.9, and of httpx2 2.16.

They are imported only when an object of them was handed over.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext, suppress
from functools import cache
from time import monotonic
from typing import Any, Final

from paceline.errors import AcquireTimeout, PoolError
from paceline.resources.limiter import WAIT_ALONE
from paceline.resources.pools.driver import Driver, Member, verify
from paceline.resources.pools.httpx_names import LookedUp, Names, handed_over
from paceline.resources.pools.limited_pool import LimitedPool, loop_runs, put_in_front
from paceline.telemetry.outgoing_call import OutgoingCall, begin_call

_LOWEST: Final = {"httpx": "0.27", "httpx2": "2.16", "httpcore": "1.0.9", "httpcore2": "2.16"}


def _client_driver(package: str) -> Driver:
    send = f"{package}._client:AsyncClient._send_single_request"
    handle = f"{package}._transports.default:AsyncHTTPTransport.handle_async_request"
    return Driver(
        package,
        _LOWEST[package],
        members=(),
        entries=("_send_single_request",),
        links=((send, "_transport_for_url"), (handle, "handle_async_request")),
        reads=("_transport", "_mounts", "is_closed"),
    )


def _pool_driver(package: str) -> Driver:
    pool = f"{package}._async.connection_pool:AsyncConnectionPool.handle_async_request"
    body = f"{package}._async.connection_pool:PoolByteStream.aclose"
    return Driver(
        package,
        _LOWEST[package],
        members=(
            Member("handle_async_request", ("request",), asynchronous=True),
            Member("_assign_requests_to_connections", callers=(pool, body)),
        ),
        links=(
            (f"{package}._async.connection_pool:AsyncConnectionPool.create_connection", "_network_backend"),
            (f"{package}._async.connection:AsyncHTTPConnection._connect", "connect_tcp"),
        ),
        reads=(
            *("_connections", "_requests", "_max_connections", "_max_keepalive_connections", "_http2"),
            *("_network_backend", "_uds", "_local_address"),
        ),
    )


class HttpxPool(LimitedPool):
    """One limit for the client: for its own transport and for those of its proxies.

    A permit belongs to one request from the moment it needs a connection until its body is read or closed. So HTTP/2,
    where requests share a connection, is refused: a limit of connections would be one of requests.

    A new connection's host name, or its proxy's, is looked up before the permit is taken; not so with a `local_address`
    or a network backend of the application's own, nor before a second attempt (`retries`).
    """

    kind = "httpx"
    cap_option = "max_connections"

    def __init__(self, name: str, client: Any, limit: int) -> None:
        verify(name, _client_driver("httpx2" if _is_of(client, "httpx2") else "httpx"), client)
        transports = [each for each in (client._transport, *client._mounts.values()) if each is not None]
        self._pools = [_pool_of(name, transport) for transport in transports]
        cap = min(pool._max_connections for pool in self._pools)
        if cap == sys.maxsize:
            raise PoolError(f"pool {name!r}: max_connections=None knows no bound; give the client's limits a number")
        super().__init__(name, limit, cap)
        self.limiter.notes = WAIT_ALONE  # what counts is in the call
        self._client = client
        self._names = {pool: names for pool in self._pools if (names := Names(pool)).possible}
        self._closing: set[asyncio.Task[None]] = set()

    def install(self) -> None:
        for names in self._names.values():
            names.install()
        for pool in self._pools:
            handle = _bound(self.handle, type(pool))
            put_in_front(pool, self, {"handle_async_request": handle, "_assign_requests_to_connections": _assign})
        put_in_front(self._client, self, {})

    @property
    def open(self) -> int:
        return self._held() + len(self._closing)

    @property
    def closed(self) -> bool:
        return bool(self._client.is_closed)

    def sockets(self) -> list[Any]:
        connections = [_innermost(each) for pool in self._pools for each in pool._connections if not each.is_closed()]
        return [each._network_stream for each in connections if hasattr(each, "_network_stream")]

    def trim(self) -> None:
        if not loop_runs():
            return  # without a loop the next return does it
        held = self._held()
        while held > self.needed and self._close_idle():
            held -= 1

    async def handle(self, base: Any, pool: Any, request: Any) -> Any:
        """httpcore's own `handle_async_request`, behind the limiter."""
        try:
            looked_up, granted = await self._permit(self._names.get(pool), request)
        except AcquireTimeout as error:
            raise _acquire_timeout(base.__module__.partition(".")[0])(str(error)) from None
        call = _begin_call(self.name, request)
        try:
            await self._make_room(pool, request.url.origin)
            with nullcontext() if looked_up is None else handed_over(looked_up):
                response = await base.handle_async_request(pool, request)
        except BaseException as error:
            self._return(granted)
            if call is not None:
                call.end(error=error)
            raise
        if call is not None:
            call.end(response.status)
        response.stream = _Lent(response.stream, lambda: self._return(granted))
        return response

    async def _permit(self, names: Names | None, request: Any) -> tuple[LookedUp | None, float]:
        """The addresses of the host, if they had to be looked up, and a permit."""
        looked_up, rest = None, request.extensions.get("timeout", {}).get("pool")
        while True:
            if looked_up is None and names is not None and names.needed(request):
                looked_up = await names.look_up(request)
            started = None if self.limiter.in_use < self.limiter.limit else monotonic()
            granted = await self.limiter.acquire(rest)
            if started is None or looked_up is not None or names is None or not names.needed(request):
                return looked_up, granted
            self.limiter.release(granted)  # while it waited, an idle connection went
            rest = None if rest is None else max(0.0, rest - (monotonic() - started))

    async def _make_room(self, pool: Any, origin: Any) -> None:
        """Closes idle connections, which are to other hosts, where a new one would be one too many."""
        while self.open >= self.needed and not any(each.can_handle_request(origin) for each in _idle(pool)):
            if not self._closing and not self._close_idle():
                return  # all are checked out: under an earlier, higher limit, under which this one was granted too
            await asyncio.wait(self._closing, return_when=asyncio.FIRST_COMPLETED)

    def _held(self) -> int:
        """Connections checked out, or idle and not about to close."""
        return sum(not connection.is_closed() for pool in self._pools for connection in pool._connections)

    def _close_idle(self) -> bool:
        """Starts to close an idle connection; False if there is none."""
        for pool in self._pools:
            for connection in _idle(pool):
                pool._connections.remove(connection)  # nobody is given it while it closes
                task = asyncio.get_running_loop().create_task(_close(connection))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
                return True
        return False

    def _return(self, granted: float) -> None:
        self.limiter.release(granted)
        self.trim()


class _Lent:
    """A response's body, with which the connection comes back."""

    def __init__(self, stream: Any, give_back: Callable[[], None]) -> None:
        self._stream = stream
        self._give_back: Callable[[], None] | None = give_back

    def __aiter__(self) -> AsyncIterator[bytes]:
        parts: AsyncIterator[bytes] = aiter(self._stream)
        return parts

    async def aclose(self) -> None:
        give_back, self._give_back = self._give_back, None
        if give_back is None:
            return
        try:
            await self._stream.aclose()
        finally:
            give_back()


def _begin_call(pool: str, request: Any) -> OutgoingCall | None:
    call = begin_call(pool, request.method.decode(), request.url.host.decode(), request.url.port)
    if call is not None and not any(name.lower() == b"traceparent" for name, _ in request.headers):
        call.hand_on(lambda value: request.headers.append((b"traceparent", value.encode())))
    return call


def _pool_of(name: str, transport: Any) -> Any:
    pool: Any = getattr(transport, "_pool", None)
    package = next((each for each in ("httpcore2", "httpcore") if _is_of(pool, each)), None)
    if package is None:
        raise PoolError(f"pool {name!r}: {type(transport).__qualname__} has no connection pool of httpx's own to limit")
    verify(name, _pool_driver(package), pool)
    if pool._http2:
        raise PoolError(f"pool {name!r}: with http2=True requests share connections; leave it out, or do not tune it")
    return pool


def _is_of(found: Any, package: str) -> bool:
    return any(f"{kind.__module__}.".startswith(f"{package}.") for kind in type(found).__mro__)


def _bound(handle: Any, base: Any) -> Any:
    return lambda pool, request: handle(base, pool, request)


def _assign(pool: Any) -> list[Any]:
    """In place of httpcore's own, for requests that have a permit and room: none waits here. Gives what is to close.

    httpcore 1 assigns one idle connection to several requests, of which all but one look again: under load most
    connections stay unused. And it keeps for ever those whose request was cancelled before it was sent.
    """
    assigned = {request.connection for request in pool._requests}
    left = [each for each in pool._connections if each not in assigned and not each.is_closed()]
    useless = [each for each in left if not each.is_idle() or each.has_expired()]
    free = [each for each in left if each not in useless]
    useless += free[: max(0, len(free) - pool._max_keepalive_connections)]
    free = [each for each in free if each not in useless]
    pool._connections = [each for each in pool._connections if each in assigned or each in free]
    for request in pool._requests:
        if request.is_queued():
            request.assign_to_connection(_connection_for(request.request.url.origin, pool, free))
    return useless


def _connection_for(origin: Any, pool: Any, free: list[Any]) -> Any:
    connection = next((each for each in free if each.can_handle_request(origin)), None)
    if connection is None:
        connection = pool.create_connection(origin)
        pool._connections.append(connection)
    else:
        free.remove(connection)
    return connection


def _idle(pool: Any) -> list[Any]:
    """Connections that nobody has, nor is about to have."""
    assigned = {request.connection for request in pool._requests}
    return [each for each in pool._connections if each.is_idle() and not each.is_closed() and each not in assigned]


def _innermost(connection: Any) -> Any:
    while hasattr(connection, "_connection"):  # one in another, to its protocol's; None until it is open
        connection = connection._connection
    return connection


async def _close(connection: Any) -> None:
    with suppress(Exception):  # whatever happens to a connection that closes, it is gone afterwards
        await connection.aclose()


@cache
def _acquire_timeout(package: str) -> type[AcquireTimeout]:
    """Ours and httpcore's, of which httpx makes its own `PoolTimeout`."""
    pool_timeout: Any = sys.modules[package].PoolTimeout

    class HttpxAcquireTimeout(AcquireTimeout, pool_timeout):  # type: ignore[misc]  # the base is known when it runs
        """No connection to the upstream became free in time."""

    return HttpxAcquireTimeout
