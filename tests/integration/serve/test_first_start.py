"""One worker starts first, the others when it is ready: start-ups that migrate an empty database would race."""

import os
import signal
from pathlib import Path

import pytest
from serving import StartPod, arbiter_command, eventually, serving


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIGRATING_FOLDER", str(tmp_path))
    return tmp_path


def _starts(folder: Path) -> list[int]:
    path = folder / "starts"
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_database_is_migrated_once(start_pod: StartPod, folder: Path) -> None:
    pod = start_pod("migrating:app", workers=3)
    eventually(lambda: pod.count() == 3, "all workers are ready")
    assert len(_starts(folder)) == 3
    assert '"level":"error"' not in pod.stderr


def test_others_wait_until_the_first_is_ready_however_long_that_takes(folder: Path) -> None:
    (folder / "hangs").touch()
    with serving(arbiter_command("migrating:app"), folder, {"PACELINE_WORKERS": "3"}) as pod:
        pod.speak(workers=3)
        (first,) = eventually(lambda: _starts(folder), "the first worker starts")
        pod.run.write_workers(2)  # wakes the arbiter
        with pytest.raises(AssertionError):
            eventually(lambda: len(_starts(folder)) > 1, "another one starts", seconds=2)
        (folder / "lock").unlink()
        os.kill(first, signal.SIGKILL)
        eventually(lambda: len(_starts(folder)) == 2, "one that was killed is replaced")
        (folder / "hangs").unlink()
        eventually(lambda: pod.count() == 2, "the others start")
        assert len(_starts(folder)) == 3


def test_a_first_worker_that_fails_to_start_ends_the_pod(folder: Path) -> None:
    (folder / "lock").touch()
    with serving(arbiter_command("migrating:app"), folder, {"PACELINE_WORKERS": "3"}) as pod:
        pod.speak(workers=3)
        eventually(pod.ended, "the arbiter ends")
        assert pod.process.returncode == 1
        assert len(_starts(folder)) == 1
