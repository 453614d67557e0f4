"""`paceline load` end to end in this process: a threaded server, the exit status, what is printed."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest
from paceline.load.command import drive
from paceline.load.openloop import Plan
from paceline.load.target import parse_target


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(int(self.path.removeprefix("/") or 200))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def plan(url: str, **options: float) -> Plan:
    """Half a second of room for the last request: a busy machine may hold up any that is due at the very end."""
    return Plan(parse_target(url), rate=2, connections=4, **{"seconds": 1, **options})  # type: ignore[arg-type]


def test_a_run_without_failures_ends_with_status_0(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert drive(plan(address), as_json=True) == 0
    result = orjson.loads(capsys.readouterr().out)
    assert {name: result[name] for name in ("planned", "succeeded", "failed", "keptRate", "failures")} == {
        "planned": 2,
        "succeeded": 2,
        "failed": 0,
        "keptRate": True,
        "failures": {},
    }
    latency = result["latencySeconds"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"] < 30


def test_failures_end_with_status_1_and_are_named(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert drive(plan(f"{address}/503"), as_json=False) == 1
    printed = capsys.readouterr().out
    assert "2 × HTTP 503" in printed
    assert "0 of 2 planned" in printed


def test_progress_is_on_stderr_and_not_with_json(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert drive(plan(address, seconds=1.5), as_json=False) == 0
    progress = capsys.readouterr().err
    assert "outstanding" in progress
    assert "failed 0" in progress
    assert drive(plan(address, seconds=1.5), as_json=True) == 0
    assert capsys.readouterr().err == ""
