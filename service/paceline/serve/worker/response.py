"""uvicorn's request with its response, but the head of an ordinary response is put together faster.

uvicorn checks each name and value by a pattern, at every response. Applications say the same few names over and over,
and the server's own fields change once a second. Whatever is out of the ordinary is left to uvicorn: what it sends and
what it refuses stay its own.
"""

from collections.abc import Coroutine, Sequence
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

_MOST_NAMES: Final = 512
_TELLING: Final = frozenset({b"connection", b"transfer-encoding"})
"""Names of fields that say how the connection goes on."""
_BODILESS: Final = frozenset({204, 304})
_LENGTH: Final = b"content-length: "


class _Beginnings(dict[bytes, bytes]):
    """By the name of a field, the line up to its value. KeyError for what is left to uvicorn."""

    def __missing__(self, name: bytes) -> bytes:
        plain = name.lower()
        if plain in _TELLING or HEADER_RE.search(name) or len(self) >= _MOST_NAMES:
            raise KeyError(name)
        beginning = self[name] = b"%b: " % plain
        return beginning


_beginnings: Final = _Beginnings()


class _Openings:
    """By the status, a response up to the application's own fields. The server's fields are put down once, not for each
    response: a list of them is never changed, another one takes its place."""

    def __init__(self) -> None:
        self._fields: Sequence[tuple[bytes, bytes]] = ()
        self._lines = b""
        self._by_status: dict[int, bytes] = {}

    def of(self, status: int, fields: Sequence[tuple[bytes, bytes]]) -> bytes:
        """KeyError for what is left to uvicorn."""
        if fields is not self._fields:
            self._lines = b"".join(_line(name, value) for name, value in fields)
            self._fields, self._by_status = fields, {}
        opening = self._by_status.get(status)
        if opening is None:
            opening = self._by_status[status] = STATUS_LINE[status] + self._lines
        return opening


def _line(name: bytes, value: bytes) -> bytes:
    if name.lower() == b"content-length" or HEADER_VALUE_RE.search(value):
        raise KeyError(name)
    return b"%b%b\r\n" % (_beginnings[name], value)


_openings: Final = _Openings()


class Response(RequestResponseCycle):
    """One request, and what the application says to it."""

    def send(self, message: Any) -> Coroutine[Any, Any, None]:
        """No coroutine function, which spares a frame a message."""
        return super().send(message) if self.response_started else self._begin(message)

    async def _begin(self, message: Any) -> None:
        head = None
        if message["type"] == "http.response.start" and self._is_ordinary():
            head = self._head(message)
        if head is None:
            await super().send(message)
        else:
            self.response_started = True
            self.waiting_for_100_continue = False
            self.transport.write(head)

    def _is_ordinary(self) -> bool:
        """Whether the head may go out now, and the connection stays. Another one may have gone out since `send`."""
        held_up = self.response_started or self.disconnected or self.flow.write_paused
        return self.keep_alive and not held_up and not self.access_log

    def _head(self, message: Any) -> bytes | None:
        """None: it is left to uvicorn, and nothing has changed. Else it is noted how the body is delimited."""
        try:
            status, fields = message["status"], message.get("headers", ())
            if type(fields) is not list:  # it may be there for one reading only
                return None
            parts = [_openings.of(status, self.default_headers)]
            length = _put_down(fields, parts)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None
        if length is None:
            if status in _BODILESS or self.scope["method"] == "HEAD":
                return None
            parts.append(b"transfer-encoding: chunked\r\n")
        parts.append(b"\r\n")
        self.chunked_encoding, self.expected_content_length = length is None, length or 0
        return b"".join(parts)


def _put_down(fields: list[tuple[bytes, bytes]], parts: list[bytes]) -> int | None:
    """Adds the application's fields. The length that they give, if they do.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: they are left to uvicorn.
    """
    length = None
    for name, value in fields:
        beginning = _beginnings[name]
        if HEADER_VALUE_RE.search(value) or (length is not None and beginning == _LENGTH):
            raise ValueError(name)
        if beginning == _LENGTH:
            length = int(value)
        parts += beginning, value, b"\r\n"
    return length
