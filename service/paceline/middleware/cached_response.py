"""An answer on its way into the cache: recorded, judged whether others may have it, and its form in Redis."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import orjson

from paceline.asgi import Message

MAX_BODY_BYTES: Final = 1024 * 1024
"""A longer answer is not kept."""
_UNSHARED: Final = frozenset({b"no-store", b"no-cache", b"private"})
_OF_ONE_REQUEST: Final = frozenset(
    {b"age", b"connection", b"date", b"keep-alive", b"server-timing", b"transfer-encoding", b"x-process-time"}
    | {b"content-length", b"x-request-id"}
)

Headers = tuple[tuple[bytes, bytes], ...]


class Sharing(Enum):
    """With whom an answer may be shared."""

    KEPT = auto()
    """Everybody with the same key, for as long as the TTL says."""
    AT_ONCE = auto()
    """Those who asked at the same time: the server failed, and asking again would not help it."""
    NOBODY = auto()
    """Its receiver alone."""


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """Status 200, without what belongs to a single request."""

    headers: Headers
    body: bytes

    def matches(self, if_none_match: bytes) -> bool:
        """Whether the client has this answer already, by its `ETag` (weak comparison, RFC 9110, 13.1.2)."""
        etag = next((value for name, value in self.headers if name.lower() == b"etag"), None)
        offered = [each.strip().removeprefix(b"W/") for each in if_none_match.split(b",")]
        return etag is not None and (etag.removeprefix(b"W/") in offered or offered == [b"*"])


class TooLarge(Exception):
    """Ends the recording of an answer that is longer than what is kept."""


class Recording:
    """Takes the messages of one answer."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Headers = ()
        self.body = bytearray()
        self.complete = False
        self.too_large = False

    async def take(self, message: Message) -> None:
        """The application's `send`.

        Raises:
            TooLarge: the answer is too long to be kept; nobody wants the rest.
        """
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = tuple((bytes(name), bytes(value)) for name, value in message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            self.complete = not message.get("more_body", False)
            if len(self.body) > MAX_BODY_BYTES:
                self.too_large = True
                raise TooLarge

    def to_keep(self) -> CachedResponse:
        own = [(name, value) for name, value in self.headers if name.lower() not in _OF_ONE_REQUEST]
        return CachedResponse((*own, (b"content-length", b"%d" % len(self.body))), bytes(self.body))


def sharing(status: int, headers: Headers, key_headers: frozenset[bytes]) -> Sharing:
    """With whom an answer may be shared whose key holds `key_headers` of the request."""
    if not complete_key(headers, key_headers):
        return Sharing.NOBODY
    if status == 200:
        return Sharing.KEPT
    return Sharing.AT_ONCE if status >= 500 else Sharing.NOBODY


def complete_key(headers: Headers, key_headers: frozenset[bytes]) -> bool:
    """Whether the answer, by its own word, is the same for all who have the same key."""
    if _words(headers, b"set-cookie") and b"cookie" not in key_headers:
        return False
    if {word.partition(b"=")[0] for word in _words(headers, b"cache-control")} & _UNSHARED:
        return False
    return set(_words(headers, b"vary")) <= key_headers


def _words(headers: Headers, wanted: bytes) -> list[bytes]:
    values: Iterable[bytes] = (value for name, value in headers if name.lower() == wanted)
    return [word.strip().lower() for value in values for word in value.split(b",") if word.strip()]


class ResponseSerializer:
    """For Redis: a line of JSON with the headers, then the body."""

    def dumps(self, value: CachedResponse, /) -> bytes:
        headers = [[name.decode("latin-1"), content.decode("latin-1")] for name, content in value.headers]
        return orjson.dumps(headers) + b"\n" + value.body

    def loads(self, content: bytes, /) -> CachedResponse:
        headers, _, body = content.partition(b"\n")
        pairs = ((name.encode("latin-1"), value.encode("latin-1")) for name, value in orjson.loads(headers))
        return CachedResponse(tuple(pairs), body)
