"""The worker count changes under load: nothing is lost, and a new worker takes its share at once."""

import http.client
import signal
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import pytest
from keepalive_load import KeepAliveLoad
from serving import StartArbiter, eventually


@pytest.mark.invariant
def test_no_request_is_lost_while_the_worker_count_moves(start_arbiter: StartArbiter) -> None:
    pod = start_arbiter(keepalive_seconds=2)
    with KeepAliveLoad(pod.port) as load:
        for count in (4, 2, 3, 1):
            pod.scale(count)
    assert load.outcome.lost == []
    assert load.outcome.refused == 0
    assert set(load.outcome.answered) == {200}
    assert load.outcome.closed_by_header >= 48, "the drained workers asked no client to come back elsewhere"


@pytest.mark.invariant
@pytest.mark.parametrize(("worker_timeout", "drains_seconds"), [(30, 0), (2, 3.5)])
def test_a_long_request_on_a_removed_worker_is_answered(
    start_arbiter: StartArbiter, tmp_path: Path, worker_timeout: int, drains_seconds: float
) -> None:
    """Also when it lasts longer than a silent worker may live: a draining worker is not silent."""
    pod = start_arbiter(worker_timeout_seconds=worker_timeout)
    oldest = pod.ready_workers()[0]
    responses: list[tuple[int, bytes]] = []
    request = threading.Thread(target=lambda: responses.append(pod.get(f"/?until={tmp_path / 'go'}")))
    request.start()
    eventually(lambda: pod.reports()[0]["inFlight"] == 1, "the request is being answered")
    eventually(lambda: pod.run.write_workers(2) or pod.count() == 2, "a second worker")
    pod.run.write_workers(1)
    eventually(lambda: any(report["draining"] for report in pod.reports()), "the oldest drains")
    time.sleep(drains_seconds)
    (tmp_path / "go").touch()
    request.join()
    assert responses == [(200, str(oldest).encode())]
    eventually(lambda: pod.count() == 1 and pod.ready_workers() != [oldest], "the oldest is gone")


def _owners(port: int, count: int) -> list[int]:
    """Opens connections, all at once, and returns the pids of the workers that took them."""
    with ExitStack() as stack:
        connections = [
            stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)))
            for _ in range(count)
        ]
        for connection in connections:
            connection.connect()
        for connection in connections:
            connection.request("GET", "/")
        return [int(connection.getresponse().read()) for connection in connections]


def test_connections_are_spread_over_the_workers(start_arbiter: StartArbiter) -> None:
    pod = start_arbiter(workers=4)
    owners = Counter(_owners(pod.port, 64))
    assert len(owners) == 4, owners
    assert max(owners.values()) <= 32, owners


def test_an_added_worker_is_ready_within_a_second(start_arbiter: StartArbiter) -> None:
    pod = start_arbiter()

    def seconds() -> float:
        started = time.monotonic()
        pod.scale(2)
        took = time.monotonic() - started
        pod.scale(1)
        return took

    # One of ten is enough: a busy machine may hold some up.
    assert any(seconds() < 1.0 for _ in range(10))


def test_the_count_stays_within_its_caps(start_arbiter: StartArbiter) -> None:
    """A reload needs one above the cap, and none where the only worker holds the only connection."""
    pod = start_arbiter(max_workers=2)
    pod.run.write_workers(9)
    eventually(lambda: pod.count() == 3, "one more worker than the cap")
    with pytest.raises(AssertionError):
        eventually(lambda: pod.count() > 3, "a fourth worker", seconds=2)
    pod.run.write_workers(0)
    eventually(lambda: pod.count() == 0, "no worker")
    pod.scale(1)


@pytest.mark.parametrize("number", [signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2])
def test_signals_do_not_move_the_worker_count(start_arbiter: StartArbiter, number: signal.Signals) -> None:
    pod = start_arbiter(workers=2)
    workers = sorted(pod.ready_workers())
    pod.process.send_signal(number)
    eventually(lambda: "signal refused" in pod.stderr, "the signal was taken in")
    pod.scale(3)
    assert set(workers) < set(pod.ready_workers())


def test_a_silent_connection_does_not_hold_a_removed_worker(start_arbiter: StartArbiter) -> None:
    pod = start_arbiter(keepalive_seconds=0.5, graceful_timeout_seconds=300)
    silent = socket.create_connection(("127.0.0.1", pod.port))
    oldest = pod.ready_workers()[0]
    pod.scale(2)
    pod.scale(1)
    assert pod.ready_workers() != [oldest]
    assert silent.recv(1) == b""
    silent.close()


@pytest.mark.invariant
def test_a_request_that_arrives_in_pieces_is_answered_by_a_draining_worker(
    start_arbiter: StartArbiter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFE_NOTES", str(tmp_path))
    pod = start_arbiter("lifecycle:app", keepalive_seconds=0.5, drain_grace_seconds=30)
    oldest = pod.ready_workers()[0]
    with socket.create_connection(("127.0.0.1", pod.port)) as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-")
        pod.scale(2)
        pod.run.write_workers(1)
        eventually(lambda: any(report["draining"] for report in pod.reports()), "the oldest drains")
        time.sleep(2)  # longer than an idle connection is waited for: this one must not count as idle
        client.sendall(b"Length: 6\r\n\r\nabc")
        client.sendall(b"def")
        response = b""
        while piece := client.recv(4096):
            response += piece
    assert response.endswith(f"6 {oldest}".encode())
    assert b"connection: close" in response
    # The whole end of a worker's life was run: lifespan and exit handlers.
    eventually(lambda: (tmp_path / f"exit.{oldest}").exists(), "the worker's exit handlers ran")
    assert (tmp_path / f"shutdown.{oldest}").exists()


def test_a_worker_that_cannot_start_leaves_the_others_alone(
    start_arbiter: StartArbiter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = tmp_path / "fails"
    monkeypatch.setenv("LIFE_NOTES", str(tmp_path))
    monkeypatch.setenv("START_FAILS", str(fails))
    pod = start_arbiter("lifecycle:app")
    fails.touch()
    pod.run.write_workers(2)
    eventually(lambda: "a new worker did not start" in pod.stderr, "the failed start is logged")
    assert pod.get()[0] == 200
    fails.unlink()
    eventually(lambda: pod.count() == 2, "the next try succeeds")


def test_a_worker_that_is_starting_leaves_before_one_that_serves(
    start_arbiter: StartArbiter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = tmp_path / "waits"
    monkeypatch.setenv("START_WAITS", str(waits))
    monkeypatch.setenv("LIFE_NOTES", str(tmp_path))
    pod = start_arbiter("lifecycle:app")
    serving = pod.ready_workers()
    waits.touch()
    pod.run.write_workers(2)
    eventually(lambda: len(pod.reports()) == 2, "a second worker is starting")
    pod.run.write_workers(1)
    eventually(lambda: "workers: 2 to 1" in pod.stderr, "one of them is told to leave")
    waits.unlink()
    eventually(lambda: len(pod.descendants()) == 1, "it has left")
    assert pod.ready_workers() == serving
    assert pod.get() == (200, str(serving[0]).encode())


def test_a_killed_worker_is_replaced_while_the_others_serve(start_arbiter: StartArbiter) -> None:
    pod = start_arbiter(workers=2)
    victim = pod.ready_workers()[0]
    psutil.Process(victim).kill()
    eventually(lambda: not psutil.pid_exists(victim), "the worker is dead")
    assert pod.get()[0] == 200
    eventually(lambda: pod.count() == 2, "it is replaced")


def test_new_connections_go_to_a_new_worker_first(start_arbiter: StartArbiter) -> None:
    pod = start_arbiter()
    first = pod.ready_workers()
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(socket.create_connection(("127.0.0.1", pod.port)))
        pod.scale(2)
        owners = Counter(_owners(pod.port, 40))
    taken_by_new = sum(number for owner, number in owners.items() if owner not in first)
    assert taken_by_new > 24, owners
