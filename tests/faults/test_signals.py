"""What operators of gunicorn send: each signal does what it says, or is refused with a line."""

import http.client
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import orjson
import psutil
import pytest
from keepalive_load import KeepAliveLoad
from serving import Served, StartPod, eventually, still_running

HARMLESS = ("SIGUSR2", "SIGTTIN", "SIGTTOU", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGIO", "SIGPWR", "SIGRTMIN")


@pytest.mark.invariant
def test_signals_without_a_meaning_are_refused_and_nothing_freezes(start_pod: StartPod) -> None:
    pod = start_pod(workers=2, keepalive_seconds=1, log_format="text")
    eventually(lambda: pod.count() == 2, "two workers")
    workers = sorted(pod.ready_workers())
    with KeepAliveLoad(pod.port, connections=8) as load:
        for name in HARMLESS:
            pod.process.send_signal(getattr(signal, name))
            eventually(lambda named=name: f"paceline: {named} refused: " in pod.stderr, name)
        for number in (signal.SIGWINCH, signal.SIGUSR1, signal.SIGPIPE, signal.SIGURG, signal.SIGCONT):
            pod.process.send_signal(number)
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH):
            pod.child("paceline.serve.arbiter").send_signal(number)
            pod.child("paceline.serve.agent").send_signal(number)
        assert pod.management("/readyz") == 200
        assert sorted(pod.ready_workers()) == workers
    assert load.outcome.lost == []
    assert not [each for each in pod.descendants() if each.status() == psutil.STATUS_STOPPED]
    assert pod.stop() == 0


@pytest.mark.invariant
@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR2", "SIGTTIN", "SIGTTOU"])
def test_what_is_meant_for_the_server_neither_ends_nor_freezes_a_worker(start_pod: StartPod, name: str) -> None:
    """Such as `pkill -HUP`, which reaches every process of a pod."""
    pod = start_pod()
    workers = pod.ready_workers()
    with KeepAliveLoad(pod.port, connections=4) as load:
        psutil.Process(workers[0]).send_signal(getattr(signal, name))
        eventually(lambda: f"{name} refused by a worker" in pod.stderr, name)
        assert pod.management("/readyz") == 200
    assert load.outcome.lost == []
    assert pod.ready_workers() == workers


def test_quit_stops_at_once(start_pod: StartPod) -> None:
    pod = start_pod(workers=2)
    processes = pod.descendants()
    request = threading.Thread(target=cut_off, args=(pod,))
    request.start()
    eventually(lambda: sum(report["inFlight"] for report in pod.reports()) == 1, "a request is being handled")
    asked = time.monotonic()
    pod.process.send_signal(signal.SIGQUIT)
    pod.process.wait(15)
    assert time.monotonic() - asked < 10, "not the thirty seconds that the request may take"
    request.join()
    assert not still_running(processes)


def cut_off(pod: Served) -> None:
    with suppress(OSError, http.client.HTTPException):
        pod.get("/?seconds=25")


@pytest.mark.invariant
@pytest.mark.parametrize("preload", ["true", "false"])
@pytest.mark.parametrize(("workers", "threads"), [(2, 40), (1, 1)])
def test_hup_loads_the_application_anew_and_loses_nothing(
    start_pod: StartPod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preload: str, workers: int, threads: int
) -> None:
    version, document = tmp_path / "version", tmp_path / "tuning.json"
    version.write_text("one")
    monkeypatch.setenv("VERSION_FILE", str(version))
    wire = {"schema": "paceline.dev/tuning/v1", "generation": 1, "values": {"pools": {"threads": threads}}}
    document.write_bytes(orjson.dumps(wire))
    pod = start_pod("versioned:app", workers=workers, keepalive_seconds=1, preload=preload, tuning_file=document)
    settled(pod)
    before = pod.ready_workers()
    with Watched(pod) as limits, KeepAliveLoad(pod.port, connections=8) as load:
        version.write_text("two")
        pod.process.send_signal(signal.SIGHUP)
        eventually(lambda: not set(before) & set(pod.ready_workers()) and pod.count() == workers, "exchanged", 90)
        settled(pod)
        assert pod.get()[1] == b"two"
        version.write_text("broken")
        pod.process.send_signal(signal.SIGHUP)
        eventually(lambda: "this version is broken" in pod.stderr, "the broken version is refused")
        settled(pod)
        assert pod.get()[1] == b"two"
    assert load.outcome.lost == []
    assert set(load.outcome.by_body) == {b"one", b"two"}
    assert max(limits.sums) <= workers * threads
    assert pod.state()["restarts"] == 0
    processes = pod.descendants()
    assert pod.stop() == 0
    assert not still_running(processes)


class Watched:
    """The sum of the thread limits of all workers that live, as they report it, every few milliseconds."""

    def __init__(self, pod: Served) -> None:
        self._pod = pod
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sums: list[int] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            pools = [report["pools"] for report in self._pod.reports()]
            self.sums.append(sum(each["threads"]["limit"] for each in pools if "threads" in each))


def settled(pod: Served) -> None:
    eventually(lambda: pod.state()["tuning"]["pending"] == [], "nothing is pending", 60)
