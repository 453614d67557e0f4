"""What a request of httpx waits for before it takes a permit: the address of the host that it connects to.

A permit that is held meanwhile would keep requests to other hosts waiting, although the pool has room for them.
"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import zip_longest
from typing import Any, Final

NEXT_ADDRESS_SECONDS: Final = 0.25
"""How long an address has before the next one is tried as well: RFC 8305, and what anyio does."""


@dataclass(slots=True)
class LookedUp:
    """What the name server said, for one request; used once."""

    host: str
    port: int
    addresses: Sequence[str] = ()
    error: Exception | None = None
    seconds: float = 0.0
    used: bool = False


_LATE: Final[set[asyncio.Future[None]]] = set()
_LOOKED_UP: ContextVar[LookedUp | None] = ContextVar("paceline_httpx_looked_up", default=None)


class KnownAddresses:
    """In place of httpcore's own network backend, which it is otherwise: connects to addresses that are known."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> Any:
        """httpcore's own `connect_tcp`; the time that the name took counts."""
        known = _LOOKED_UP.get()
        if known is None or known.used or (known.host, known.port) != (host, port):
            return await self._backend.connect_tcp(host, port, timeout=timeout, **options)
        known.used = True  # a second attempt looks the name up anew
        if known.error is not None:
            raise known.error
        rest = None if timeout is None else max(0.001, timeout - known.seconds)
        return await _first(
            known.addresses, lambda address: self._backend.connect_tcp(address, port, timeout=rest, **options)
        )


class Names:
    """Looks up the names of one pool's hosts."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._proxy = getattr(pool, "_proxy_url", None)
        self._errors: Any = sys.modules[type(pool).__module__.partition(".")[0]]

    @property
    def possible(self) -> bool:
        """Not for a Unix socket, and not where the addresses depend on the local one or on somebody's own backend."""
        pool = self._pool
        ours = type(pool._network_backend).__module__.startswith(("httpcore.", "httpcore2."))
        return ours and pool._uds is None and pool._local_address is None

    def install(self) -> None:
        """From now on new connections go to the addresses that were looked up."""
        self._pool._network_backend = KnownAddresses(self._pool._network_backend)

    def needed(self, request: Any) -> bool:
        """Whether a name server would have to be asked to open a connection for this request now."""
        host = (self._proxy or request.url).host.decode("ascii")
        if ":" in host or (host[-1:].isdigit() and _is_address(host)):
            return False
        origin = request.url.origin
        return not any(each.can_handle_request(origin) and each.is_idle() for each in self._pool._connections)

    async def look_up(self, request: Any) -> LookedUp:
        """Asks as anyio does, within the request's connect timeout. Errors are raised later, where httpcore would."""
        origin = (self._proxy or request.url).origin
        known = LookedUp(origin.host.decode("ascii"), origin.port)
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("connect")):
                found = await loop.getaddrinfo(known.host, known.port, type=socket.SOCK_STREAM)
            known.addresses = _in_turn(found)
        except TimeoutError as error:
            known.error = self._errors.ConnectTimeout(str(error) or f"the name of {known.host} was not found in time")
        except (OSError, UnicodeError) as error:
            known.error = self._errors.ConnectError(str(error))
        known.seconds = loop.time() - started
        return known


@contextmanager
def handed_over(known: LookedUp | None) -> Iterator[None]:
    """Within the body a connection goes to the addresses that were looked up."""
    token = _LOOKED_UP.set(known)
    try:
        yield
    finally:
        _LOOKED_UP.reset(token)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _in_turn(found: Sequence[Any]) -> list[str]:
    """Of both families alternately, IPv6 first, each once."""
    families: dict[bool, list[str]] = {True: [], False: []}
    for family, _, _, _, address in found:
        families[family == socket.AF_INET6].append(str(address[0]))
    both = zip_longest(dict.fromkeys(families[True]), dict.fromkeys(families[False]))
    return [address for pair in both for address in pair if address is not None]


async def _first(addresses: Sequence[str], connect: Callable[[str], Awaitable[Any]]) -> Any:
    """The first stream that opens: the next address is tried when one failed, or takes its time."""
    if len(addresses) == 1:
        return await connect(addresses[0])
    untried, attempts = list(addresses), set[asyncio.Future[Any]]()
    error: BaseException = OSError("no address was found")
    try:
        while untried or attempts:
            if untried:
                attempts.add(asyncio.ensure_future(connect(untried.pop(0))))
            patience = NEXT_ADDRESS_SECONDS if untried else None
            done, _ = await asyncio.wait(attempts, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                attempts.discard(attempt)
                failure = attempt.exception()
                if failure is None:
                    return attempt.result()
                error = failure
        raise error
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_close_late)


def _close_late(attempt: "asyncio.Future[Any]") -> None:
    """Closes a stream that opened when another one had opened already."""
    if not attempt.cancelled() and attempt.exception() is None:
        task = asyncio.ensure_future(attempt.result().aclose())
        _LATE.add(task)
        task.add_done_callback(_LATE.discard)
