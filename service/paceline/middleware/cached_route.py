"""Which requests may share an answer, and under which key. Pure.

A key holds all that the route is shown of a request, so nothing that a client adds can end up in another's answer.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final
from urllib.parse import parse_qsl, urlencode

from paceline.asgi import Scope
from paceline.errors import UsageError

PERSONAL: Final = frozenset({b"authorization", b"cookie"})
"""Who sends one of these may get an answer of their own."""
_WITH_BODY: Final = frozenset({b"content-length", b"transfer-encoding"})
_CONDITIONS: Final = frozenset(
    {b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range", b"range"}
)
_PARAMETER: Final = re.compile(r"\{\w+\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedRoute:
    """How the answers of one route are kept."""

    name: str
    """The cache's name in the policy. Routes with one name share the cache, and must agree on what follows it."""
    ttl: float
    """Seconds without a tuning document: the start value. 0: every request is answered by the application."""
    max_staleness: float = 0.0
    """Seconds beyond the TTL in which an answer may still be given, while a new one is fetched or fetching fails."""
    max_entries: int = 256
    """Answers in memory per process; the one unused longest makes room."""
    query: tuple[str, ...] = ()
    """Query parameters that answers depend on. The route sees no others."""
    headers: tuple[str, ...] = ()
    """Request headers that answers depend on; an answer that varies by any other is not kept. Naming `authorization`
    or `cookie` keeps answers for one client each, which are otherwise never kept."""

    @property
    def bypassed_by(self) -> frozenset[bytes]:
        """Request headers with which the application is asked itself."""
        return (PERSONAL - self.header_names) | _WITH_BODY

    @property
    def header_names(self) -> frozenset[bytes]:
        return frozenset(name.lower().encode("latin-1") for name in self.headers)


def make_key(route: CachedRoute, scope: Scope) -> str:
    """`/prices?page=2`, then a digest of the declared headers, which may hold secrets."""
    key = str(scope["path"])
    if route.query:
        key = f"{key}?{declared_query(route, scope)}"
    if route.headers:
        wanted = route.header_names
        given = sorted((name, value) for name, value in scope["headers"] if name in wanted)
        key = f"{key}#{blake2b(repr(given).encode(), digest_size=16).hexdigest()}"
    return key


def declared_query(route: CachedRoute, scope: Scope) -> str:
    """The declared parameters in one order, however the client wrote them."""
    given = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return urlencode(sorted((name, value) for name, value in given if name in route.query))


def shared_scope(route: CachedRoute, scope: Scope) -> Scope:
    """The request as the application sees it, on behalf of all who have the same key: whole, unconditional, a GET."""
    shared = {
        **scope,
        "method": "GET",
        "query_string": declared_query(route, scope).encode("latin-1"),
        "headers": [each for each in scope["headers"] if each[0] not in _CONDITIONS],
        "extensions": {},
    }
    if "state" in scope:
        shared["state"] = dict(scope["state"])
    return shared


def matcher(templates: Mapping[str, CachedRoute]) -> Callable[[str], str | None]:
    """Finds the template of a path, such as `/users/{id}`; a plain path costs one look-up.

    Raises:
        UsageError: a template does not begin with a slash.
    """
    for template in templates:
        if not template.startswith("/"):
            raise UsageError(f"ResponseCacheMiddleware: route {template!r} must begin with a slash")
    plain = {template: template for template in templates if "{" not in template}
    patterns = [(_pattern(template), template) for template in templates if "{" in template]

    def find(path: str) -> str | None:
        found = plain.get(path)
        if found is None and patterns:
            found = next((template for pattern, template in patterns if pattern.fullmatch(path)), None)
        return found

    return find


def _pattern(template: str) -> re.Pattern[str]:
    fixed = map(re.escape, _PARAMETER.split(template))
    return re.compile("[^/]+".join(fixed))
