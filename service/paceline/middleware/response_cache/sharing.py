"""Whether a response may be given to others, by its own word: status and headers. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from paceline.middleware.response_cache.response import Headers, words

MAX_BODY_BYTES: Final = 1024 * 1024
"""A longer response is not cached."""
_UNSHARED: Final = frozenset({b"no-store", b"no-cache", b"private"})
_STREAMS: Final = (b"text/event-stream", b"multipart/x-mixed-replace")
_OF_ONE_REQUEST: Final = re.compile(
    # Of one connection (RFC 9110, 7.6.1), or said anew for each response.
    rb"age|connection|date|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|content-length"
    # About one request.
    rb"|server-timing|x-process-time|x-request-id|x-correlation-id|x-trace-id|x-amzn-trace-id|traceparent|tracestate"
    rb"|traceresponse|cache-status|(?:x-)?ratelimit(?:-.*)?"
)
_BY_STATUS_SECONDS: Final = 10.0
_BY_DESIGN_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a response is not cached."""

    reason: str
    """Completes "not cached: "."""
    seconds: float = _BY_DESIGN_SECONDS
    """How long requests with this key go to the application at once. Short where the next response may be another."""


def refusal_of(status: int, headers: Headers, may_vary_by: Callable[[bytes], bool]) -> Refusal | None:
    """Why a response with this head is not cached; None: as far as its head goes, it may be."""
    if status != 200:
        return Refusal(f"its status is {status}", _BY_STATUS_SECONDS)
    if any(name.lower() == b"set-cookie" for name, _ in headers):
        return Refusal("it sets a cookie (Set-Cookie)")
    if unshared := _forbidden(headers):
        return Refusal(f"it says {unshared}")
    for name in words(headers, b"vary"):
        if not may_vary_by(name):
            return Refusal(f"it varies by {name.decode('latin-1')}, which the route does not declare in headers=")
    if any(word.startswith(_STREAMS) for word in words(headers, b"content-type")):
        return Refusal("it is a stream")
    if any(name.lower() == b"content-range" for name, _ in headers):
        return Refusal("it is a part (Content-Range)")
    return None


def refusal_of_body(headers: Headers, body: bytes) -> Refusal | None:
    """Why a response with this body is not cached, by its length."""
    promised = {value.strip() for name, value in headers if name.lower() == b"content-length"}
    if promised and promised != {b"%d" % len(body)}:
        return Refusal("its Content-Length is not the length of its body")
    return None


def without_own(headers: Headers) -> Headers:
    """The headers without those of one request, and those that `Connection` names."""
    named = set(words(headers, b"connection"))
    return tuple(
        (name, value)
        for name, value in headers
        if not _OF_ONE_REQUEST.fullmatch(name.lower()) and name.lower() not in named
    )


def _forbidden(headers: Headers) -> str | None:
    directives = dict(word.partition(b"=")[::2] for word in words(headers, b"cache-control"))
    for directive in directives:
        if directive.strip() in _UNSHARED:
            return f"Cache-Control: {directive.decode('latin-1').strip()}"
    age = directives.get(b"s-maxage", directives.get(b"max-age"))
    if age is not None and age.strip(b'" ').lstrip(b"0") == b"":
        return "that it is stale at once (max-age=0)"
    if age is None and set(words(headers, b"expires")) & {b"0", b"-1"}:
        return "that it is stale at once (Expires)"
    if b"no-cache" in words(headers, b"pragma"):
        return "Pragma: no-cache"
    return None
