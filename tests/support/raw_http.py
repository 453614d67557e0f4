"""HTTP as bytes on a socket, for requests that no library would send."""

import http.client
import io
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

PATIENCE_SECONDS = 20.0


class Response(NamedTuple):
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawConnection:
    """One TCP connection to a server."""

    def __init__(self, port: int, timeout: float = PATIENCE_SECONDS) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._reader = self._socket.makefile("rb")

    def send(self, *parts: bytes, pause: float = 0.05) -> None:
        """Each part in a packet of its own. What the server does not want any more is no failure."""
        for number, part in enumerate(parts):
            if number:
                time.sleep(pause)
            with suppress(OSError):
                self._socket.sendall(part)

    def send_until_closed(self, piece: bytes, *, times: int) -> int:
        """How many pieces the server let through."""
        for count in range(times):
            try:
                self._socket.sendall(piece)
            except OSError:
                return count
        return times

    def response(self) -> Response | None:
        """The next response; None if the server closed instead.

        Raises:
            TimeoutError: neither came: the connection hangs.
        """
        try:
            status, headers = self._head()
            length = headers.get("content-length")
            if headers.get("transfer-encoding") == "chunked":
                return Response(status, headers, self._chunks())
            return Response(status, headers, self._reader.read(int(length)) if length else b"")
        except (ConnectionError, EOFError):
            return None

    def responses(self) -> list[Response]:
        """All until the server closes."""
        return list(iter(self.response, None))

    def read(self, count: int) -> bytes:
        return self._reader.read(count)

    def close(self) -> None:
        self._reader.close()
        self._socket.close()

    def _head(self) -> tuple[int, dict[str, str]]:
        line = self._reader.readline()
        if not line:
            raise EOFError
        fields = http.client.parse_headers(self._reader)
        return int(line.split()[1]), {name.lower(): value for name, value in fields.items()}

    def _chunks(self) -> bytes:
        body = io.BytesIO()
        while size := int(self._reader.readline().partition(b";")[0], 16):
            body.write(self._reader.read(size))
            self._reader.readline()
        self._reader.readline()
        return body.getvalue()


@contextmanager
def raw(port: int, timeout: float = PATIENCE_SECONDS) -> Iterator[RawConnection]:
    connection = RawConnection(port, timeout)
    try:
        yield connection
    finally:
        connection.close()


def exchange(port: int, *parts: bytes, timeout: float = PATIENCE_SECONDS) -> list[Response]:
    """Sends the parts, each in a packet, and reads all responses until the server closes."""
    with raw(port, timeout) as connection:
        connection.send(*parts)
        return connection.responses()
