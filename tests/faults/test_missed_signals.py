"""Signals that come while a process turns into another: nobody may miss them. Each moment is held open by a file."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest
from serving import Served, StartPod, eventually, serve_command, serving

SOON_SECONDS = 12.0
"""Well below the 38 s after which a worker that does not end is killed."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOMENTS", str(tmp_path))
    monkeypatch.setenv("MIGRATING_FOLDER", str(tmp_path))
    return tmp_path


def _starting(folder: Path, target: str, **settings: object) -> AbstractContextManager[Served]:
    environment = {f"PACELINE_{name.upper()}": str(value) for name, value in settings.items()}
    return serving(serve_command(target), folder, environment)


def _said(folder: Path, note: str) -> list[int]:
    return [int(path.suffix[1:]) for path in folder.glob(f"{note}.*")]


def _seconds_to_end(pod: Served) -> float:
    began = time.monotonic()
    assert pod.process.wait(60) == 0, pod.stderr
    return time.monotonic() - began


def _trial(arbiter: psutil.Process) -> Callable[[], psutil.Process | None]:
    return lambda: next((each for each in arbiter.children() if "--trial" in each.cmdline()), None)


@pytest.mark.invariant
def test_a_worker_that_was_forked_just_now_hears_that_it_is_to_stop(start_pod: StartPod, folder: Path) -> None:
    pod = start_pod("slow_moments:app")
    (folder / "fork").touch()
    (first,) = _said(folder, "forked")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: len(_said(folder, "forked")) == 2, "its successor is forked")
    pod.process.send_signal(signal.SIGTERM)
    eventually(pod.run.terminating.exists, "the supervisor heard it")
    time.sleep(0.5)  # for the arbiter to tell the worker
    (folder / "fork").unlink()
    assert _seconds_to_end(pod) < SOON_SECONDS


@pytest.mark.invariant
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_stop_that_comes_with_the_end_of_a_trial_is_heard(
    start_pod: StartPod, folder: Path, number: signal.Signals
) -> None:
    """The arbiter, about to become the one with the new code, has taken the signal in by then."""
    pod = start_pod("slow_moments:app")
    arbiter = pod.child("paceline.serve.arbiter")
    pod.process.send_signal(signal.SIGHUP)
    trial = eventually(_trial(arbiter), "the new code is tried")
    arbiter.suspend()
    eventually(lambda: not trial.is_running() or trial.status() == psutil.STATUS_ZOMBIE, "the trial has ended")
    pod.process.send_signal(number)
    eventually(pod.run.terminating.exists, "the supervisor heard it")
    time.sleep(0.2)
    arbiter.resume()
    assert _seconds_to_end(pod) < SOON_SECONDS


@pytest.mark.invariant
def test_a_stop_does_not_wait_for_new_code_that_is_being_loaded(start_pod: StartPod, folder: Path) -> None:
    pod = start_pod("slow_moments:app")
    arbiter = pod.child("paceline.serve.arbiter")
    pod.process.send_signal(signal.SIGHUP)
    trial = eventually(_trial(arbiter), "the new code is tried")
    eventually(lambda: trial.pid in _said(folder, "importing"), "the trial loads it")
    for note in folder.glob("importing.*"):
        note.unlink()
    (folder / "import").touch()
    eventually(lambda: arbiter.pid in _said(folder, "importing"), "the arbiter loads it")
    pod.process.send_signal(signal.SIGTERM)
    assert _seconds_to_end(pod) < SOON_SECONDS


def test_a_reload_before_the_first_worker_is_ready_starts_no_others_beside_it(folder: Path) -> None:
    (folder / "hangs").touch()
    with _starting(folder, "migrating:app", workers=3) as pod:
        eventually((folder / "starts").exists, "the first worker starts")
        arbiter = pod.child("paceline.serve.arbiter")
        pod.process.send_signal(signal.SIGHUP)
        eventually(lambda: pod.run.read_reloaded()[0] == 1, "the new code is loaded")
        assert arbiter.is_running()
        time.sleep(1)
        (folder / "hangs").unlink()
        eventually(lambda: pod.count() == 3, "all workers are ready")
        assert "serving migrating:app" in pod.stderr
        assert '"level":"error"' not in pod.stderr
        assert pod.stop() == 0


@pytest.mark.parametrize(
    ("part", "name"), [("arbiter", "SIGHUP"), ("arbiter", "SIGTTIN"), ("agent", "SIGHUP"), ("agent", "SIGUSR2")]
)
def test_what_is_meant_for_the_server_does_not_end_a_part_that_is_starting(folder: Path, part: str, name: str) -> None:
    """Such as `pkill -HUP`, which reaches every process of a pod."""
    with _starting(folder, "slow_moments:app") as pod:
        started = eventually(lambda: [each for each in pod.descendants() if _is(each, part)], f"the {part} starts")
        started[0].send_signal(getattr(signal, name))
        eventually(lambda: pod.ended() or pod.management("/readyz") == 200, "the pod is ready")
        assert not pod.ended(), pod.stderr
        assert started[0].is_running()
        assert pod.stop() == 0


def _is(process: psutil.Process, part: str) -> bool:
    try:
        return f"paceline.serve.{part}" in process.cmdline()
    except psutil.Error:
        return False
