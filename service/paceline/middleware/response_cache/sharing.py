"""Whether a response may be given to others, by its own word: status and headers. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
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
_MOST_AGE: Final = 2**31
_BY_STATUS_SECONDS: Final = 10.0
_BY_DESIGN_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a response is not cached."""

    reason: str
    """Completes "not cached: "."""
    seconds: float = _BY_DESIGN_SECONDS
    """How long requests with this key go to the application at once. Short where the next response may be another."""


def refusal_of(status: int, headers: Headers, may_vary_by: Callable[[bytes], bool], now: float) -> Refusal | None:
    """Why a response with this head is not cached; None: as far as its head goes, it may be."""
    if status != 200:
        return Refusal(f"its status is {status}", _BY_STATUS_SECONDS)
    if any(name.lower() == b"set-cookie" for name, _ in headers):
        return Refusal("it sets a cookie (Set-Cookie)")
    if unshared := _forbidden(headers, now):
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


def age_of(headers: Headers) -> int:
    """Seconds: how old a response was when the application had it from another cache."""
    ages = [value.strip() for name, value in headers if name.lower() == b"age"]
    return min(int(ages[0]), _MOST_AGE) if ages and ages[0].isdigit() and len(ages[0]) <= 10 else 0


def _is_over(expires: bytes, now: float) -> bool:
    """Whether the time of an `Expires` is over; what is no time counts as over (RFC 9111, 5.3)."""
    try:
        return parsedate_to_datetime(expires.decode("latin-1")).timestamp() <= now
    except (ValueError, OverflowError):
        return True


def _forbidden(headers: Headers, now: float) -> str | None:
    directives = dict(word.partition(b"=")[::2] for word in words(headers, b"cache-control"))
    for directive in directives:
        if directive.strip() in _UNSHARED:
            return f"Cache-Control: {directive.decode('latin-1').strip()}"
    age = directives.get(b"s-maxage", directives.get(b"max-age"))
    if age is not None and not (age := age.strip(b'" ').lstrip(b"0")).isdigit():
        return "that it is stale at once (max-age=0)" if not age else "a max-age that is no number of seconds"
    if age is None and any(name.lower() == b"expires" and _is_over(value, now) for name, value in headers):
        return "that it is stale at once (Expires)"
    if any(b"'nonce-" in value for name, value in headers if name.lower().startswith(b"content-security-policy")):
        return "a nonce for one response (Content-Security-Policy)"
    if b"no-cache" in words(headers, b"pragma"):
        return "Pragma: no-cache"
    return None
