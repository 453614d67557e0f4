"""What a route is shown of a request, and the key made of exactly that. Pure.

Requests with one key are shown to the route as one and the same request, so nothing else that a client sends can end
up in another client's response.
"""

import re
from contextlib import suppress
from hashlib import blake2b
from operator import itemgetter
from typing import Final, NamedTuple
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

from paceline.asgi import Scope
from paceline.middleware.response_cache.credentials import is_credential
from paceline.middleware.response_cache.route import CachedRoute, Declared
from paceline.resources.cache.names import class_of_this_process
from paceline.resources.cache.values import NoValue, encode

_NAME: Final = itemgetter(0)
_MOST_READABLE: Final = 400
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._~-]*")
_ESCAPE: Final = re.compile(rb"%[0-9A-Fa-f]{2}")
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

Headers = tuple[tuple[bytes, bytes], ...]


class Line(NamedTuple):
    """Where a request goes, as the route sees it."""

    scheme: str
    root_path: str
    path: str
    raw_path: bytes
    query: bytes
    params: tuple[tuple[str, str], ...] = ()
    """Path parameters that a router in front found, as in keys: of a route by host they are in no path."""


class Shown(NamedTuple):
    """A request as the route sees it, but for what is the same for all requests."""

    line: Line
    headers: Headers


def line_of(declared: Declared, scope: Scope) -> Line:
    """The request's line, reduced to the declared parameters."""
    query = declared_query(declared, scope) if declared.query and scope["query_string"] else b""
    scheme, root_path = scope.get("scheme", "http"), scope.get("root_path") or ""
    return Line(scheme, root_path, scope["path"], _raw_path(scope), query, path_params(scope))


def path_params(scope: Scope) -> tuple[tuple[str, str], ...]:
    """See `Line.params`. What has no value that other processes know is left out, and hidden from the route."""
    params = scope.get("path_params")
    if not params:
        return ()
    written = []
    for name, value in params.items():
        with suppress(NoValue, RecursionError):
            written.append((name, encode(value)))
    return tuple(sorted(each for each in written if class_of_this_process(each[1]) is None))


def line_key(prefix: str, line: Line) -> str:
    """`http:/prices?page=2`; where such a line would not say everything, with a digest of all of it."""
    scheme, root_path, path, raw_path, query, params = line
    if not (root_path or params) and _PLAIN.fullmatch(path) and raw_path == path.encode():
        key = f"{prefix}{scheme}:{path}?{query.decode()}" if query else f"{prefix}{scheme}:{path}"
        if len(key) <= _MOST_READABLE:
            return key
    digest = blake2b(repr(tuple(line)).encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
    return f"{prefix}{scheme}:{quote(path, errors='replace')[:200]}#{digest}"


def key_of(line: str, headers: Headers) -> str:
    """The line's key with a digest of the headers, which may hold secrets."""
    return f"{line}#{blake2b(repr(headers).encode(), digest_size=16).hexdigest()}" if headers else line


def fingerprint(route: CachedRoute, host: str | None) -> str:
    """Changes with everything that changes what a route is shown: an older release's responses are then not used."""
    declared = (sorted(route.query), sorted(route.headers), sorted(route.cookies), sorted(route.ignore), host)
    return blake2b(repr(declared).encode(), digest_size=4).hexdigest()


def declared_query(declared: Declared, scope: Scope) -> bytes:
    """The declared parameters, sorted by name; the values of one name in the order in which the client wrote them."""
    given = (each.partition(b"=") for each in scope["query_string"].split(b"&") if each)
    wanted = [(name, value) for raw, _, value in given if (name := _plain(raw)) in declared.query]
    if len(wanted) > 1:
        wanted.sort(key=_NAME)
    return b"&".join(b"%b=%b" % (_escaped(name), _escaped(_plain(value))) for name, value in wanted)


def _plain(escaped: bytes) -> bytes:
    """The very bytes of a name or value: those that are no UTF-8 differ too."""
    return unquote_to_bytes(escaped.replace(b"+", b" "))


def _escaped(plain: bytes) -> bytes:
    return quote_from_bytes(plain, safe=" ").replace(" ", "+").encode()


def undeclared_credential(declared: Declared, query: bytes) -> str | None:
    """A parameter that the route does not see, and whose name says that it tells who the client is; None: there is
    none."""
    for each in query.split(b"&"):
        name = _plain(each.partition(b"=")[0])
        if name not in declared.query and is_credential(name.lower()):
            return name.decode("utf-8", "replace")
    return None


def declared_headers(declared: Declared, scope: Scope) -> Headers:
    """The declared headers and cookies, sorted by name; those of one name in the order in which they came."""
    names = declared.headers
    given = [(lower, value) for name, value in scope["headers"] if (lower := name.lower()) in names]
    if declared.cookies and (cookies := [each for each in cookies_of(scope) if _name_of(each) in declared.cookies]):
        given.append((b"cookie", b"; ".join(cookies)))
    if len(given) > 1:
        given.sort(key=_NAME)
    return tuple(given)


def has_other_cookies(declared: Declared, scope: Scope) -> bool:
    """Whether there is a cookie that the route does not declare."""
    return any(_name_of(each) not in declared.cookies for each in cookies_of(scope))


def cookies_of(scope: Scope) -> list[bytes]:
    """`name=value` of each cookie."""
    lines = (bytes(value) for name, value in scope["headers"] if name.lower() == b"cookie")
    return [each.strip() for line in lines for each in line.split(b";") if each.strip()]


def _name_of(cookie: bytes) -> bytes:
    return cookie.partition(b"=")[0].strip()


def _raw_path(scope: Scope) -> bytes:
    """The path as the client wrote it, escaped in the one normal way (RFC 3986, 6.2.2); `%2F` stays no slash."""
    raw = scope.get("raw_path")
    if raw is None:
        return quote(scope["path"], safe="/!$&'()*+,;=:@~").encode()
    raw = bytes(raw).partition(b"?")[0]
    return _ESCAPE.sub(_normal, raw) if b"%" in raw else raw


def _normal(escape: re.Match[bytes]) -> bytes:
    character = unquote_to_bytes(escape[0])
    return character if character[0] in _UNRESERVED else quote_from_bytes(character, safe="").encode()
