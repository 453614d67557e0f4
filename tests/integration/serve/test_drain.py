"""What a worker does not wait for when it is told to stop, and what it does wait for. Raw sockets, real workers.

The graceful timeout is 30 s: a drain that ends within half of that did not wait for what cannot finish.
"""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from serving import DEADLINE_SECONDS, Served, StartArbiter, StartPod, eventually
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

SOON_SECONDS = 12.0
LAST_CHUNK = b"0\r\n\r\n"


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "notes"
    path.touch()
    monkeypatch.setenv("STREAMING_NOTES", str(path))
    return path


def _ask(pod: Served, request: str, body: bytes = b"") -> socket.socket:
    """A connection on which a request has been sent."""
    connection = socket.create_connection(("127.0.0.1", pod.port), timeout=DEADLINE_SECONDS)
    connection.sendall(request.replace("\n", "\r\n").encode() + body)
    return connection


def _stream(pod: Served, path: str, method: str = "GET") -> socket.socket:
    """A connection whose response has begun."""
    connection = _ask(pod, f"{method} {path} HTTP/1.1\nHost: t\nContent-Length: 0\n\n")
    seen = b""
    while b"data:" not in seen and b"tick" not in seen:
        piece = connection.recv(4096)
        assert piece, seen
        seen += piece
    return connection


def _read_until(connection: socket.socket, end: bytes) -> None:
    """Head and body of a response may come one by one."""
    received = b""
    while not received.endswith(end):
        piece = connection.recv(4096)
        assert piece, received
        received += piece


def _rest(connection: socket.socket) -> bytes:
    """All that still comes; without an end it fails."""
    with closing(connection):
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


def _seconds_to_stop(pod: Served) -> float:
    began = time.monotonic()
    assert pod.stop() == 0, pod.stderr
    return time.monotonic() - began


@pytest.mark.parametrize("path", ["/library", "/by-hand", "/deaf/", "/by-hand?type=multipart/x-mixed-replace"])
def test_an_endless_stream_ends_soon_and_properly(start_arbiter: StartArbiter, notes: Path, path: str) -> None:
    pod = start_arbiter("streaming:app")
    stream = _stream(pod, path)
    assert _seconds_to_stop(pod) < SOON_SECONDS
    assert _rest(stream).endswith(LAST_CHUNK)
    assert '"level":"error"' not in pod.stderr
    assert path != "/deaf/" or notes.read_text() == "deaf has ended\n"


def test_a_pod_stops_soon_with_a_stream(start_pod: StartPod, notes: Path) -> None:
    pod = start_pod("streaming:app")
    stream = _stream(pod, "/library")
    assert _seconds_to_stop(pod) < SOON_SECONDS
    assert _rest(stream).endswith(LAST_CHUNK)


@pytest.mark.parametrize("path", ["/library", "/by-hand"])
def test_a_stream_on_a_removed_worker_ends_soon(start_arbiter: StartArbiter, notes: Path, path: str) -> None:
    pod = start_arbiter("streaming:app")
    oldest = pod.ready_workers()[0]
    stream = _stream(pod, path)
    pod.scale(2)
    pod.run.write_workers(1)
    eventually(lambda: pod.count() == 1 and pod.ready_workers() != [oldest], "the oldest is gone", SOON_SECONDS)
    assert _rest(stream).endswith(LAST_CHUNK)


def test_unused_connections_do_not_hold_the_drain(start_arbiter: StartArbiter, notes: Path) -> None:
    pod = start_arbiter("streaming:app", keepalive_seconds=25)
    unused = socket.create_connection(("127.0.0.1", pod.port))
    time.sleep(0.2)
    assert _seconds_to_stop(pod) < SOON_SECONDS
    assert _rest(unused) == b""


@pytest.mark.invariant
def test_a_connection_that_was_used_may_send_its_next_request(start_arbiter: StartArbiter, notes: Path) -> None:
    """Well after the drain grace: who sends a request every other second must not lose one to a removed worker."""
    pod = start_arbiter("streaming:app", keepalive_seconds=5, drain_grace_seconds=0.5)
    used = _ask(pod, "POST /upload HTTP/1.1\nHost: t\nContent-Length: 2\n\nab")
    _read_until(used, b"\r\n\r\n2")
    pod.process.send_signal(signal.SIGTERM)
    time.sleep(2)
    used.sendall(b"POST /upload HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc")
    last = _rest(used)
    assert last.endswith(b"3")
    assert b"connection: close" in last
    assert pod.process.wait(DEADLINE_SECONDS) == 0


def test_a_stream_that_a_setting_names_is_endless(start_arbiter: StartArbiter, notes: Path) -> None:
    pod = start_arbiter("streaming:app", endless_types="application/json-seq, application/X-NDJSON")
    stream = _stream(pod, "/by-hand?type=application/x-ndjson")
    assert _seconds_to_stop(pod) < SOON_SECONDS
    assert _rest(stream).endswith(LAST_CHUNK)


@pytest.mark.invariant
def test_a_stream_that_may_end_gets_the_graceful_timeout_and_no_false_end(
    start_arbiter: StartArbiter, notes: Path
) -> None:
    """What is cut off in the midst must not look complete."""
    pod = start_arbiter("streaming:app", graceful_timeout_seconds=3, keepalive_seconds=1)
    stream = _stream(pod, "/by-hand?type=application/x-ndjson")
    assert _seconds_to_stop(pod) >= 3
    assert not _rest(stream).endswith(LAST_CHUNK)


@pytest.mark.invariant
def test_a_response_to_a_post_is_no_endless_stream(start_arbiter: StartArbiter, notes: Path) -> None:
    """The words of a language model: the same media type, and an end."""
    pod = start_arbiter("streaming:app")
    stream = _stream(pod, "/words", "POST")
    assert pod.stop() == 0
    received = _rest(stream)
    assert b"data: 19\n" in received
    assert received.endswith(LAST_CHUNK)


@pytest.mark.parametrize(
    "request_head",
    [
        "GET /until HTTP/1.1\nHost: t\nX-",
        "G",
        "POST /upload HTTP/1.1\nHost: t\nContent-Length: 10\n\nabc",
        "POST /upload HTTP/1.1\nHost: t\nTransfer-Encoding: chunked\n\n3\nabc\n",
    ],
)
def test_a_request_that_stopped_arriving_is_closed(start_arbiter: StartArbiter, notes: Path, request_head: str) -> None:
    pod = start_arbiter("streaming:app")
    connection = _ask(pod, request_head)
    time.sleep(0.2)
    assert _seconds_to_stop(pod) < SOON_SECONDS
    assert _rest(connection) == b""


@pytest.mark.invariant
def test_a_request_that_goes_on_arriving_is_answered(start_arbiter: StartArbiter, notes: Path) -> None:
    pod = start_arbiter("streaming:app")
    connection = _ask(pod, "POST /upload HTTP/1.1\nHost: t\nContent-Length: 30\n\n")
    pod.process.send_signal(signal.SIGTERM)
    for _ in range(30):
        connection.sendall(b"x")
        time.sleep(0.1)
    assert _rest(connection).endswith(b"\r\n\r\n30")
    assert pod.process.wait(DEADLINE_SECONDS) == 0


@pytest.mark.invariant
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_ordinary_slow_request_is_answered(
    start_arbiter: StartArbiter, notes: Path, tmp_path: Path, method: str
) -> None:
    """Also one whose handler has not asked for the body, the rest of which does not come."""
    pod = start_arbiter("streaming:app")
    connection = _ask(pod, f"{method} /until?file={tmp_path / 'go'} HTTP/1.1\nHost: t\nContent-Length: 5\n\nabc")
    eventually(lambda: notes.read_text() == "waiting\n", "the handler runs")
    pod.process.send_signal(signal.SIGTERM)
    time.sleep(3)  # three times the grace
    (tmp_path / "go").touch()
    assert _rest(connection).endswith(b"\r\n\r\ndone")
    assert pod.process.wait(DEADLINE_SECONDS) == 0


def test_a_safe_request_without_a_client_is_cancelled(start_arbiter: StartArbiter, notes: Path) -> None:
    pod = start_arbiter("streaming:app")
    connection = _ask(pod, "GET /until HTTP/1.1\nHost: t\n\n")
    eventually(lambda: notes.read_text() == "waiting\n", "the handler runs")
    connection.close()
    assert _seconds_to_stop(pod) < SOON_SECONDS
    assert notes.read_text() == "waiting\ncancelled\n"


@pytest.mark.invariant
def test_a_request_that_may_change_something_goes_on_without_a_client(
    start_arbiter: StartArbiter, notes: Path, tmp_path: Path
) -> None:
    pod = start_arbiter("streaming:app")
    connection = _ask(pod, f"POST /until?file={tmp_path / 'go'} HTTP/1.1\nHost: t\nContent-Length: 0\n\n")
    eventually(lambda: notes.read_text() == "waiting\n", "the handler runs")
    connection.close()
    pod.process.send_signal(signal.SIGTERM)
    time.sleep(3)
    (tmp_path / "go").touch()
    assert pod.process.wait(DEADLINE_SECONDS) == 0
    assert notes.read_text() == "waiting\ndone\n"


def test_a_websocket_is_told_at_once_and_its_handler_ends(start_arbiter: StartArbiter, notes: Path) -> None:
    pod = start_arbiter("streaming:app")
    with connect(f"ws://127.0.0.1:{pod.port}/listener") as websocket:
        assert websocket.recv() == "hello"
        assert _seconds_to_stop(pod) < SOON_SECONDS
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert notes.read_text() == "listener has ended\n"


def test_what_ignores_its_cancellation_does_not_hold_a_worker(
    start_arbiter: StartArbiter, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends by itself: one that is killed, eight seconds after the graceful timeout, runs no exit handler."""
    monkeypatch.setenv("STREAMING_POLLER", "1")
    pod = start_arbiter("streaming:app", graceful_timeout_seconds=1, keepalive_seconds=0.5)
    with connect(f"ws://127.0.0.1:{pod.port}/stubborn") as websocket:
        assert websocket.recv() == "hello"
        assert pod.stop() == 0
    assert {"handler ignores", "poller ignores"} < {*notes.read_text().splitlines()}
    assert notes.read_text().endswith("the process ends by itself\n")
    assert "left behind: WebSocketsSansIOProtocol.run_asgi, _ignoring_cancellation" in pod.stderr


UPGRADE = (
    "\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
)


@pytest.mark.parametrize(("path", "more"), [("/flood", ""), ("/flooded", UPGRADE)])
def test_a_client_that_reads_nothing_does_not_hold_what_was_ended(
    start_arbiter: StartArbiter, notes: Path, path: str, more: str
) -> None:
    pod = start_arbiter("streaming:app")
    with closing(_ask(pod, f"GET {path} HTTP/1.1\nHost: t{more}\n\n")) as connection:
        assert connection.recv(1)
        time.sleep(0.5)  # buffers fill, or they do not: the test is the same
        assert _seconds_to_stop(pod) < SOON_SECONDS


def test_a_rest_of_a_body_that_nobody_waits_for_does_not_hold_the_drain(
    start_arbiter: StartArbiter, notes: Path
) -> None:
    pod = start_arbiter("streaming:app", keepalive_seconds=25)
    with closing(_ask(pod, "POST /early HTTP/1.1\nHost: t\nContent-Length: 10\n\n", b"abc")) as connection:
        _read_until(connection, b"early")
        assert _seconds_to_stop(pod) < SOON_SECONDS


def test_a_signal_handler_of_the_applications_finds_the_servers(
    start_arbiter: StartArbiter, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMING_HANDLER", "1")
    pod = start_arbiter("streaming:app")
    stream = _stream(pod, "/library")
    assert _seconds_to_stop(pod) < SOON_SECONDS
    assert notes.read_text() == "the application's own handler\n"
    assert _rest(stream).endswith(LAST_CHUNK)
