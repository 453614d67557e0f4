"""The load of the benchmarks counts answers, whole ones alone, from servers that keep connections and that do not."""

import socketserver
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread

import pytest

from tests.benchmarks.closed_loop import LoadError, Request, saturate

SECONDS = 0.5
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"
PIECES = (b"HTTP/1.1 200 OK\r\ncontent-", b"length: 3\r\n\r", b"\na", b"bc")
CLOSES = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
REFUSES = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
CUT = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na"


@dataclass
class Counts:
    connections: list[int] = field(default_factory=list)


@contextmanager
def serving(*pieces: bytes, keeps: bool) -> Iterator[tuple[int, Counts]]:
    """Answers every request with these pieces, one packet each."""
    counts = Counts()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            counts.connections.append(1)
            while self._has_request():
                for piece in pieces:
                    self.wfile.write(piece)
                    if len(pieces) > 1:
                        time.sleep(0.001)
                if not keeps:
                    return

        def _has_request(self) -> bool:
            while (line := self.rfile.readline()) not in {b"", b"\r\n"}:
                pass
            return line != b""

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1], counts
        finally:
            server.shutdown()
            thread.join()


def test_a_kept_connection_carries_request_after_request() -> None:
    with serving(OK, keeps=True) as (port, counts):
        responses, _ = saturate(port, connections=4, seconds=SECONDS)
    assert responses > 4
    assert len(counts.connections) == 4


def test_a_server_that_closes_is_connected_to_anew() -> None:
    with serving(CLOSES, keeps=False) as (port, counts):
        responses, _ = saturate(port, connections=4, seconds=SECONDS)
    assert responses > 4
    assert len(counts.connections) >= responses


def test_a_response_in_pieces_counts_once() -> None:
    with serving(*PIECES, keeps=True) as (port, _):
        responses, seconds = saturate(port, connections=1, seconds=SECONDS)
    assert 0 < responses <= seconds / (0.001 * len(PIECES)) + 1


@pytest.mark.parametrize(("response", "reason"), [(REFUSES, "503"), (CUT, "mid-answer")])
def test_a_response_that_is_not_whole_or_not_200_ends_the_measurement(response: bytes, reason: str) -> None:
    with serving(response, keeps=False) as (port, _), pytest.raises(LoadError, match=reason):
        saturate(port, connections=2, seconds=SECONDS)


def test_the_request_carries_path_and_headers() -> None:
    lines = Request("/me?x=1", {"Authorization": "Bearer t"}).to_bytes().split(b"\r\n")
    assert lines[0] == b"GET /me?x=1 HTTP/1.1"
    assert b"Authorization: Bearer t" in lines
    assert lines[-2:] == [b"", b""]
