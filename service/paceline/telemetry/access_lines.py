"""Lines of the access log: what is in one, as JSON or in the Common Log Format, and their way to standard output.

    {"time", "level", "logger", "message", "process", "pid", "generation", "requestId"?, "traceId"?, "spanId"?,
     "client", "method", "path", "route", "status", "bytes", "seconds"}

    CLIENT - - [TIME] "METHOD PATH HTTP/VERSION" STATUS BYTES SECONDS "ROUTE" generation=N request=ID trace=ID

The path is as the client sent it, without the query: that may hold tokens.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from paceline.telemetry import OTHER
from paceline.telemetry.log_text import escaped, json_text
from paceline.telemetry.logs import request_id
from paceline.telemetry.route_template import route_template

_STDOUT: Final = 1
_ATOMIC_BYTES: Final = 4096
"""So much goes into a pipe as one piece, however many processes write to it."""
_LONGEST_PATH: Final = 1024
_FLUSH_SECONDS: Final = 0.1
_MOST_LINES: Final = 512
_SILENCE_SECONDS: Final = 60.0

_MOMENT_OF_JSON: Final = "%Y-%m-%dT%H:%M:%S"
_MOMENT_OF_COMMON: Final = "%d/%b/%Y:%H:%M:%S +0000"
_JSON: Final = (
    '{"time":"%s.%03dZ","level":"info","logger":"paceline.access","message":"%s %s %d","process":"worker","pid":%d,'
    '"generation":%d%s,"client":%s,"method":%s,"path":%s,"route":%s,"status":%d,"bytes":%d,"seconds":%.6f}'
)

logger = logging.getLogger("paceline.serve")


class LineBuffer:
    """Writes lines a tenth of a second after the first, many with one call. Belongs to one event loop."""

    def __init__(self, descriptor: int = _STDOUT) -> None:
        self._descriptor = descriptor
        self._lines: list[bytes] = []
        self._silent_until = 0.0
        with suppress(OSError):
            os.set_blocking(descriptor, True)  # a line waits where its reader is slow

    def add(self, line: str) -> None:
        """One line, without its end."""
        if not self._lines:
            asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)
        self._lines.append(line.encode("utf-8", "backslashreplace") + b"\n")
        if len(self._lines) >= _MOST_LINES:
            self.flush()

    def flush(self) -> None:
        """Writes what is there. Where that fails the lines are lost, and the log says so once a minute."""
        lines, self._lines = self._lines, []
        try:
            for piece in _pieces(lines):
                _write_all(self._descriptor, piece)
        except OSError as error:
            if time.monotonic() >= self._silent_until:
                self._silent_until = time.monotonic() + _SILENCE_SECONDS
                logger.error("cannot write the access log: %s; lines are lost", error.strerror)


def _pieces(lines: list[bytes]) -> list[bytes]:
    """Whole lines, joined up to what a pipe takes at once."""
    pieces: list[list[bytes]] = []
    size = _ATOMIC_BYTES
    for line in lines:
        if size + len(line) > _ATOMIC_BYTES:
            pieces.append([])
            size = 0
        pieces[-1].append(line)
        size += len(line)
    return [b"".join(piece) for piece in pieces]


def _write_all(descriptor: int, piece: bytes) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]


class AccessLog:
    """Makes a line of each request, in one of two forms. What is the same for many requests is made once."""

    def __init__(
        self,
        form: str,
        add: Callable[[str], None],
        *,
        generation: Callable[[], int],
        trace_fields: Callable[[], Mapping[str, str]],
        now: Callable[[], float] = time.time,
    ) -> None:
        """`form`: json or common."""
        self._add = add
        self._is_json = form == "json"
        self._moment_form = _MOMENT_OF_JSON if self._is_json else _MOMENT_OF_COMMON
        self._generation = generation
        self._trace_fields = trace_fields
        self._now = now
        self._pid = os.getpid()
        self._second = 0
        self._moment = ""

    def write(self, scope: Mapping[str, Any], status: int, body_bytes: int, seconds: float) -> None:
        """Hands on the line for a request that is over."""
        second, millisecond = divmod(int(self._now() * 1000), 1000)
        if second != self._second:
            self._second, self._moment = second, time.strftime(self._moment_form, time.gmtime(second))
        if self._is_json:
            self._add(self._as_json(scope, millisecond, status, body_bytes, seconds))
        else:
            self._add(self._as_common(scope, status, body_bytes, seconds))

    def _as_json(self, scope: Mapping[str, Any], millisecond: int, status: int, body_bytes: int, seconds: float) -> str:
        client, path, method = scope.get("client"), _quoted(path_of(scope)), _quoted_often(scope["method"])
        more = "".join([f',"{name}":"{value}"' for name, value in self._trace_fields().items()])
        if given := request_id(scope):
            more = f',"requestId":{_quoted(given)}{more}'
        # Text that is quoted may be joined without its quotes: escapes go by the character.
        return _JSON % (
            self._moment, millisecond, method[1:-1], path[1:-1], status, self._pid, self._generation(), more,
            _quoted_often(client[0]) if client else "null", method, path, _quoted_often(route_template(scope) or OTHER),
            status, body_bytes, seconds,
        )  # fmt: skip

    def _as_common(self, scope: Mapping[str, Any], status: int, body_bytes: int, seconds: float) -> str:
        client, trace = scope.get("client"), self._trace_fields()
        request = f"{scope['method']} {path_of(scope)} HTTP/{scope['http_version']}".replace('"', "%22")
        line = (
            f'{client[0] if client else "-"} - - [{self._moment}] "{request}" {status} {body_bytes} {seconds:.6f}'
            f' "{route_template(scope) or OTHER}" generation={self._generation()}'
            f" request={_word(request_id(scope))} trace={trace.get('traceId', '-')}"
        )
        return line if line.isascii() and line.isprintable() else escaped(line)


def _quoted(text: str) -> str:
    """As JSON has it."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return json_text(text)


@lru_cache(1000)
def _quoted_often(text: str) -> str:
    """Of methods, routes and clients."""
    return json_text(text)


def path_of(scope: Mapping[str, Any]) -> str:
    """As the client sent it, cut where it is long."""
    raw = scope.get("raw_path")
    path = raw.decode("latin-1") if raw else str(scope["path"])
    return path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}..."


def _word(given: str | None) -> str:
    return "-" if given is None else given.replace(" ", "_").replace('"', "_")
