"""How one route is cached: what its responses depend on, and for how long they may be used."""

import re
from dataclasses import dataclass
from typing import Final

from paceline.errors import UsageError

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LISTS: Final = ("query", "headers", "cookies", "ignore", "bypass")


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedRoute:
    """How the responses of one route are cached.

    The route sees the path, the root path, the scheme, and what is declared here. Nothing else of a request reaches it.

    Raises:
        UsageError: a list is a single string, a name is no header or cookie name, or two lists contradict each other.
    """

    name: str
    """The cache's name in the policy. Routes with one name share the cache, and must agree on its times and size."""
    ttl: float
    """Seconds without a tuning document: the start value. 0: the application responds to every request."""
    max_staleness: float = 0.0
    """Seconds beyond the TTL in which a response may still be used, while a new one is fetched or fetching fails."""
    max_entries: int = 256
    """Responses in memory per process; the one unused longest makes room."""
    query: tuple[str, ...] = ()
    """Query parameters that responses depend on. The route sees no others."""
    headers: tuple[str, ...] = ()
    """Request headers that responses depend on. Naming `authorization`, `cookie` or another header that carries
    credentials caches one response for each value; requests with such a header otherwise bypass the cache."""
    cookies: tuple[str, ...] = ()
    """Cookies that responses depend on. A request with other cookies bypasses the cache, unless `ignore` has `cookie`:
    then the route does not see the others."""
    ignore: tuple[str, ...] = ()
    """Request headers that are removed instead of bypassing the cache: `("cookie",)` gives browsers with cookies the
    response that a client without cookies gets."""
    bypass: tuple[str, ...] = ()
    """More request headers that bypass the cache, beside those that look like credentials."""

    def __post_init__(self) -> None:
        for field in _LISTS:
            given = getattr(self, field)
            if isinstance(given, str):
                raise self._wrong(f"{field} must be a tuple of names, got the string {given!r}")
            object.__setattr__(self, field, tuple(given))
            if field != "query" and (wrong := [name for name in given if not _TOKEN.fullmatch(name)]):
                raise self._wrong(f"{field} names {wrong[0]!r}, which is no name of a header or cookie")
        self._check_contradictions()

    def _check_contradictions(self) -> None:
        for one, other in (("headers", "ignore"), ("headers", "bypass"), ("ignore", "bypass")):
            if both := _lower(getattr(self, one)) & _lower(getattr(self, other)):
                raise self._wrong(f"{one} and {other} both name {min(both)!r}; leave it in one of them")
        if self.cookies and "cookie" in _lower(self.headers):
            raise self._wrong("headers names 'cookie', which holds all cookies; leave out either that or cookies")

    def _wrong(self, what: str) -> UsageError:
        return UsageError(f"CachedRoute {self.name!r}: {what}")


def _lower(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


class Declared:
    """What a route declares, in the form in which requests have it."""

    __slots__ = ("bypass", "cookies", "headers", "ignored", "query")

    def __init__(self, route: CachedRoute) -> None:
        self.query = frozenset(name.encode() for name in route.query)
        self.cookies = frozenset(name.encode() for name in route.cookies)
        self.headers = _names(route.headers)
        self.ignored = _names(route.ignore)
        self.bypass = _names(route.bypass)


def _names(names: tuple[str, ...]) -> frozenset[bytes]:
    return frozenset(name.lower().encode() for name in names)
