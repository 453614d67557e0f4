"""One cached route at work: how requests are read, what it is shown, which responses it may not share."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

from paceline.asgi import Scope
from paceline.middleware.response_cache.credentials import COMMON, Kind, kind_of
from paceline.middleware.response_cache.origins import Origins
from paceline.middleware.response_cache.placeholders import Placeholders
from paceline.middleware.response_cache.recording import Recording
from paceline.middleware.response_cache.response import Headers
from paceline.middleware.response_cache.route import CachedRoute, Declared
from paceline.middleware.response_cache.sharing import Refusal, refusal_of, refusal_of_body
from paceline.middleware.response_cache.shown import (
    Line,
    Shown,
    declared_headers,
    fingerprint,
    has_other_cookies,
    key_of,
    line_key,
    line_of,
    path_params,
    undeclared_credential,
)
from paceline.middleware.response_cache.surroundings import Surroundings
from paceline.resources.cache.cache import Cache

log = logging.getLogger("paceline.middleware.response_cache")

_SCHEMES: Final = ("http", "https")
_PORTS: Final = {"http": 80, "https": 443}
_VARIES_ANYHOW: Final = frozenset({b"accept-encoding", b"origin"})
"""By these a response may vary: the route sees no Accept-Encoding, and an Origin is part of the key."""
_MOST_NAMES: Final = 512
_LONGEST_NAME: Final = 64
_MOST_PASSES: Final = 1024
_MOST_LINES: Final = 1024
_MOST_REMEMBERED_BYTES: Final = 1024
_BYPASSES_BEFORE_WORD: Final = 10


Headline = tuple[str | None, bytes | None, bytes]
"""What the headers of a request say: why the application responds itself, or None; its Origin; its If-None-Match."""
_NOTHING: Final[Headline] = (None, None, b"")
_BYPASS, _ETAGS, _ORIGIN, _COOKIES, _CACHE_CONTROL = (  # a member of an Enum costs a look-up each time
    Kind.BYPASS,
    Kind.ETAGS,
    Kind.ORIGIN,
    Kind.COOKIES,
    Kind.CACHE_CONTROL,
)


class Served:
    """What a request for one route needs, made beforehand."""

    def __init__(
        self,
        path: str,
        route: CachedRoute,
        cache: Cache,
        *,
        host: str | None,
        placeholders: Placeholders,
        surroundings: Surroundings,
        clock: Callable[[], float],
    ) -> None:
        self.path = path
        declared = self._declared = Declared(route)
        self.cache = cache
        self.stored = False
        self._host = host or placeholders.host
        self._placeholders = placeholders
        self._surroundings = surroundings
        self.clock = clock
        self._origins = Origins(clock)
        self._quiet = {name for name in COMMON if kind_of(name, declared) is Kind.HIDDEN} | declared.headers
        self._kinds: dict[bytes, Kind] = {}
        self.passes: OrderedDict[str, float] = OrderedDict()
        self._bypasses = 0
        self._said = False
        self._prefix = f"{fingerprint(route, host)}:"
        self._raw = path.encode()
        self._lines: dict[tuple[Any, ...], tuple[str, Shown]] = {}
        self._credentials: dict[bytes, str | None] = {}
        """By query, the parameter for which a request bypasses the cache."""
        self._wholes: dict[tuple[str, Headers], tuple[str, Shown]] = {}
        self._by_headers = bool(route.headers or route.cookies)
        self._quick = not (route.query or self._by_headers or "{" in path)
        self._ready: dict[str | None, tuple[str, Shown]] = {}
        if self._quick:
            for scheme in _SCHEMES:
                line = Line(scheme, "", path, self._raw, b"")
                self._ready[scheme] = line_key(self._prefix, line), Shown(line, ())

    def read(self, scope: Scope) -> Headline:
        """What the headers say. Runs for every request: a name that is common costs one look-up."""
        quiet = self._quiet
        others: list[tuple[bytes, bytes]] | None = None
        for header in scope["headers"]:
            if header[0] not in quiet:
                if others is None:
                    others = [header]
                else:
                    others.append(header)
        query = scope["query_string"]
        if query and (name := self._credential_in(query)) is not None:
            return f"the query parameter {name}", None, b""
        return _NOTHING if others is None else self._read(scope, others)

    def _credential_in(self, query: bytes) -> str | None:
        if query in self._credentials:
            return self._credentials[query]
        found = undeclared_credential(self._declared, query)
        if len(query) <= _MOST_REMEMBERED_BYTES:
            if len(self._credentials) >= _MOST_LINES:
                self._credentials.clear()
            self._credentials[query] = found
        return found

    def key(self, scope: Scope, origin: bytes | None) -> tuple[str, Shown]:
        """The key of a request, and what the route is shown of it."""
        if origin is None and self._quick and "path_params" not in scope:
            ready = self._ready.get(scope.get("scheme"))
            if ready is not None and scope.get("raw_path") == self._raw and not scope.get("root_path"):
                return ready
        known = self._line(scope)
        if origin is not None and self._origins.is_plain(scope["path"], origin):
            origin = None
        if origin is None and not self._by_headers:
            return known
        headers = declared_headers(self._declared, scope) if self._by_headers else ()
        if origin is not None:
            headers = (*headers, (b"origin", origin))
        return self._with_headers(known, headers)

    def _line(self, scope: Scope) -> tuple[str, Shown]:
        """Of a request without headers; parsing paths and parameters takes its time, hence a memory."""
        get = scope.get
        query = scope["query_string"] if self._declared.query else b""
        params = path_params(scope) if get("path_params") else ()
        asked = scope["path"], get("raw_path"), query, get("scheme", "http"), get("root_path"), params
        known = self._lines.get(asked)
        if known is None:
            line = line_of(self._declared, scope)
            known = line_key(self._prefix, line), Shown(line, ())
            if len(line.path) + len(line.raw_path) + len(query) <= _MOST_REMEMBERED_BYTES:
                if len(self._lines) >= _MOST_LINES:
                    self._lines.clear()
                self._lines[asked] = known
        return known

    def _with_headers(self, known: tuple[str, Shown], headers: Headers) -> tuple[str, Shown]:
        asked = known[0], headers
        whole = self._wholes.get(asked)
        if whole is None:
            whole = key_of(known[0], headers), Shown(known[1].line, headers)
            if len(known[0]) + sum(len(value) for _, value in headers) <= _MOST_REMEMBERED_BYTES:
                if len(self._wholes) >= _MOST_LINES:
                    self._wholes.clear()
                self._wholes[asked] = whole
        return whole

    def is_passed(self, key: str) -> bool:
        """Whether a response for this key was refused a short time ago."""
        until = self.passes.get(key)
        return until is not None and self.clock() < until

    def refused(self, key: str, refusal: Refusal) -> None:
        """A response for this key may not be shared: for a while its requests go to the application at once."""
        if refusal.seconds > 0:
            self.passes[key] = self.clock() + refusal.seconds
            self.passes.move_to_end(key)
            if len(self.passes) > _MOST_PASSES:
                self.passes.popitem(last=False)
            self.say(f"of its response, {refusal.reason}")

    def failed(self, status: int) -> None:
        """The application failed; it may miss something that this route does not declare."""
        self.say(f"the status is {status}; note that the route sees only what CachedRoute declares")

    def bypassed(self, reason: str) -> None:
        """A request went past the cache. Credentials are nothing unusual, unless all requests have some."""
        if not self.stored and not self._said:
            self._bypasses += 1
            if self._bypasses >= _BYPASSES_BEFORE_WORD:
                self.say(f"all requests so far bypass the cache, the last one because of {reason}")

    def say(self, reason: str) -> None:
        """Logs why nothing is cached, once, as long as nothing is."""
        if not self.stored and not self._said:
            self._said = True
            log.warning("%s: no response is cached so far: %s", self.path, reason)

    def may_vary_by(self, name: bytes) -> bool:
        """Whether a response that varies by this header may be cached: it is in the key, or no cached response is for
        a request that has it."""
        return (
            name in _VARIES_ANYHOW
            or name in self._declared.headers
            or name in self._declared.ignored
            or kind_of(name, self._declared) in (Kind.BYPASS, Kind.COOKIES)
        )

    def recording(self, key: str, shown: Shown, ids: tuple[str, ...]) -> Recording:
        """Takes a response of this route and judges it."""
        origin = next((value for name, value in shown.headers if name == b"origin"), None)

        def judge_head(status: int, headers: Headers) -> Refusal | None:
            refusal = refusal_of(status, headers, self.may_vary_by, self.clock())
            if refusal is None and origin is not None and b"origin" not in self._declared.headers:
                refusal = self._origins.judge(shown.line.path, origin, headers)
            return refusal

        def judge_body(headers: Headers, body: bytes) -> Refusal | None:
            if (refusal := refusal_of_body(headers, body)) is not None:
                return refusal
            found = self._placeholders.found_in(headers, body, ids)
            return None if found is None else Refusal(_advised(found))

        return Recording(judge_head, judge_body)

    def shared_scope(self, shown: Shown, scope: Scope) -> Scope:
        """The request as the route sees it: whole, unconditional, a GET, from nobody in particular."""
        line, declares_host = shown.line, b"host" in self._declared.headers
        host = () if declares_host else ((b"host", self._host.encode()),)
        return {
            **self._surroundings.of_all(scope, {name for name, _ in line.params}),
            "type": "http",
            "asgi": dict(scope.get("asgi") or {"version": "3.0"}),
            "http_version": "1.1",
            "method": "GET",
            "scheme": line.scheme,
            "server": _server(self._host, line.scheme),
            "client": (self._placeholders.client, 0),
            "root_path": line.root_path,
            "path": line.path,
            "raw_path": line.raw_path,
            "query_string": line.query,
            "headers": [*host, *shown.headers],
            "extensions": {},
        }

    def _read(self, scope: Scope, others: Sequence[tuple[bytes, bytes]]) -> Headline:
        bypass, origin, etags, kinds = None, None, b"", self._kinds
        for name, value in others:
            kind = kinds.get(name) or self._learn(name)
            if kind is _ETAGS:
                etags = etags + b"," + value if etags else value
            elif kind is _CACHE_CONTROL:
                if b"no-store" in value.lower():
                    bypass = "Cache-Control: no-store"
            elif kind is _BYPASS:
                bypass = f"the header {name.decode('latin-1')}"
            elif kind is _ORIGIN:
                origin = bytes(value)
            elif kind is _COOKIES and self._has_other_cookies(scope):
                bypass = "cookies that the route does not declare"
        return bypass, origin, etags

    def _has_other_cookies(self, scope: Scope) -> bool:
        return b"cookie" not in self._declared.ignored and has_other_cookies(self._declared, scope)

    def _learn(self, name: bytes) -> Kind:
        kind = kind_of(name, self._declared)
        if len(self._kinds) < _MOST_NAMES and len(name) <= _LONGEST_NAME:
            self._kinds[name] = kind
            if kind is Kind.HIDDEN:
                self._quiet.add(name)
        return kind


def _server(host: str, scheme: str) -> tuple[str, int | None]:
    name, separator, port = host.rpartition(":")
    if separator and port.isdigit():
        return name.strip("[]"), int(port)
    return host.strip("[]"), _PORTS.get(scheme)


def _advised(found: str) -> str:
    advice = "; pass ResponseCacheMiddleware host=, the Host that clients use" if "Host" in found else ""
    return found + advice
