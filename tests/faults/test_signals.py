"""What operators of gunicorn send: each signal does what it says, or is refused with a line."""

import http.client
import signal
import threading
import time
from contextlib import suppress

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
