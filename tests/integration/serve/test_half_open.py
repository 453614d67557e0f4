"""Clients that hold a connection and send nothing, or half a request, keep nobody else waiting."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from raw_http import exchange
from serving import Served, eventually, serve_command, serving

pytestmark = pytest.mark.invariant

DESCRIPTORS = 256
ATTACKERS = 300
GET = b"GET /livez HTTP/1.1\r\nHost: t\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: t\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Time limits are long, so that it is not they that save the others."""
    command = ["bash", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "bash", *serve_command("mirroring:app")]
    patience = {"HEAD_TIMEOUT_SECONDS": "600", "BODY_TIMEOUT_SECONDS": "600", "KEEPALIVE_SECONDS": "600"}
    environment = {f"PACELINE_{name}": value for name, value in patience.items()}
    with serving(command, tmp_path_factory.mktemp("half-open"), environment) as started:
        eventually(lambda: started.management("/readyz") == 200, "the pod is ready")
        yield started
        started.process.kill()  # a drain would wait for the idle connections


@pytest.fixture
def attack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def occupy(port: int, start: bytes, stack: ExitStack) -> list[socket.socket]:
    connections = []
    for _ in range(ATTACKERS):
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        with suppress(OSError):  # it had to make room already
            connection.sendall(start)
        connections.append(connection)
    return connections


def status(port: int) -> int:
    (response,) = exchange(port, GET + b"Connection: close\r\n\r\n", timeout=5)
    return response.status


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"", id="silent"),
        pytest.param(b"\r\n", id="a line end"),
        pytest.param(GET, id="half a head"),
        pytest.param(GET + b"\r\n", id="idle"),
        pytest.param(POST + b"Content-Length: 5\r\n\r\n", id="no body"),
        pytest.param(POST + b"Content-Length: 5\r\n\r\nab", id="half a body"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\n", id="half a chunk"),
    ],
)
@pytest.mark.parametrize("which", ["application", "management"])
def test_others_are_served(served: Served, attack: ExitStack, start: bytes, which: str) -> None:
    port = served.port if which == "application" else served.management_port
    occupy(port, start, attack)
    began = time.monotonic()
    for _ in range(20):
        assert status(port) == 200
        assert served.management("/readyz") == 200
    assert time.monotonic() - began < 10
    assert not served.ended()


def test_who_is_served_stays(served: Served, attack: ExitStack) -> None:
    """Those in the middle of a request are no candidates, however long they take."""
    with ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=20)) for _ in range(20)
        ]
        for connection in slow:
            connection.sendall(b"GET /slow?seconds=3 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        occupy(served.port, b"", attack)
        for connection in slow:
            assert b"200 OK" in connection.recv(10_000)


def test_a_setting_bounds_the_connections_as_well(tmp_path: Path, attack: ExitStack) -> None:
    environment = {"PACELINE_MAX_CONNECTIONS": "20", "PACELINE_HEAD_TIMEOUT_SECONDS": "600"}
    with serving(serve_command("mirroring:app"), tmp_path, environment) as started:
        eventually(lambda: started.management("/readyz") == 200, "the pod is ready")
        occupied = occupy(started.port, b"", attack)
        assert status(started.port) == 200
        closed = sum(connection.recv(1) == b"" for connection in occupied[: ATTACKERS - 20])
        assert closed == ATTACKERS - 20, "the oldest went"
