"""What a request of aiohttp waits for before it takes a permit: its turn at its host, and its host's address.

A permit that is held meanwhile would keep requests to other hosts waiting, although the pool has room for them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from paceline.resources.limiter import WAIT_ALONE, Limiter


class HostTurns:
    """aiohttp's `limit_per_host`, first come, first served, without a permit."""

    def __init__(self, name: str, per_host: int) -> None:
        self._name = name
        self._per_host = per_host
        self._limiters: dict[Any, Limiter] = {}
        self._held: dict[Any, tuple[Any, float]] = {}

    async def acquire(self, key: Any, timeout: float | None) -> float:
        """Waits for a turn; see `Limiter.acquire`."""
        limiter = self._limiter(key)
        try:
            return await limiter.acquire(timeout)
        finally:
            self._forget_if_unused(key, limiter)

    def hold(self, protocol: Any, key: Any, granted: float) -> None:
        """The turn is over when this connection comes back."""
        self._held[protocol] = (key, granted)

    def came_back(self, protocol: Any) -> None:
        """A connection that may have had a turn is not in use any more."""
        held = self._held.pop(protocol, None)
        if held is not None:
            self.release(*held)

    def release(self, key: Any, granted: float) -> None:
        """Ends a turn."""
        limiter = self._limiters[key]
        limiter.release(granted)
        self._forget_if_unused(key, limiter)

    def turn_away(self, error: Callable[[], Exception]) -> None:
        """Raises the error for all that wait."""
        for limiter in [*self._limiters.values()]:
            limiter.turn_away(error)

    def take_over(self, in_use: Mapping[Any, Iterable[Any]]) -> None:
        """Counts connections by host that were in use before there was a limit."""
        for key, protocols in in_use.items():
            limiter = self._limiter(key)
            for protocol in protocols:
                self.hold(protocol, key, limiter.force())

    def _limiter(self, key: Any) -> Limiter:
        if key not in self._limiters:
            self._limiters[key] = Limiter(f"{self._name}, limit_per_host of {key.host}", self._per_host)
            self._limiters[key].notes = WAIT_ALONE
        return self._limiters[key]

    def _forget_if_unused(self, key: Any, limiter: Limiter) -> None:
        if not limiter.in_use and not limiter.waiting:
            self._limiters.pop(key, None)


@dataclass(frozen=True, slots=True)
class _LookedUp:
    host: str
    port: int
    found: list[Any]
    error: Exception | None = None


_LOOKED_UP: ContextVar[_LookedUp | None] = ContextVar("paceline_looked_up", default=None)


class HostAddresses:
    """Looks names up before the permit, and hands aiohttp what was found when it asks with the permit in hand."""

    def __init__(self, connector: Any, base: Any) -> None:
        self._connector = connector
        self._base = base

    def needed(self, request: Any) -> bool:
        """Whether aiohttp would have to ask a name server to open a connection now."""
        host, port = _address(request)  # cheapest first: each request asks this
        if ":" in host or (host[-1:].isdigit() and host.replace(".", "").isdigit()):
            return False  # is an address already
        connector = self._connector
        cached = connector._cached_hosts
        if connector._use_dns_cache and (host, port) in cached and not cached.expired((host, port)):
            return False
        return not connector._conns.get(request.connection_key)  # an idle connection would do

    async def look_up(self, request: Any, traces: Any) -> _LookedUp:
        """Asks as aiohttp does, for whom it does: a proxy's name where there is one. Errors are raised later."""
        host, port = _address(request)
        try:
            return _LookedUp(host, port, await self._base._resolve_host(self._connector, host, port, traces=traces))
        except Exception as error:
            return _LookedUp(host, port, [], error)

    async def resolve(self, host: str, port: int, traces: Sequence[Any] | None = None) -> Any:
        """aiohttp's own `_resolve_host`, unless the name was looked up before."""
        known = _LOOKED_UP.get()
        if known is None or (known.host, known.port) != (host, port):
            return await self._base._resolve_host(self._connector, host, port, traces=traces)
        if known.error is not None:
            raise known.error
        return known.found


@contextmanager
def handed_over(looked_up: _LookedUp) -> Iterator[None]:
    """Within the body `resolve` gives what was looked up."""
    token = _LOOKED_UP.set(looked_up)
    try:
        yield
    finally:
        _LOOKED_UP.reset(token)


def _address(request: Any) -> tuple[str, int]:
    url, port = (request.proxy, request.proxy.port) if request.proxy else (request.url, request.port)
    host: str = url.raw_host
    return (host.rstrip(".") + "." if host.endswith("..") else host), port
