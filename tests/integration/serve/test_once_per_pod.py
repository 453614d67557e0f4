"""`tune.once_per_pod` in real workers: one runs the job; it moves when that one leaves or dies, never two at once."""

import signal
from pathlib import Path

import psutil
import pytest
from serving import Served, StartPod, eventually


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    monkeypatch.setenv("JOB_NOTES", str(folder))
    return folder


def runner(notes: Path) -> int:
    """The worker that runs the job now; 0 if none does."""
    try:
        return int((notes / "running").read_text() or 0)
    except FileNotFoundError:
        return 0


def told(notes: Path) -> list[tuple[int, str]]:
    lines = (line.partition(" ") for line in (notes / "notes").read_text().splitlines())
    return [(int(pid), what) for pid, _, what in lines]


def moves(pod: Served, notes: Path, former: int) -> int:
    """Waits until another live worker runs the job."""
    new = int(eventually(lambda: runner(notes) not in (0, former) and runner(notes), "another worker runs it"))
    assert new in {report["pid"] for report in pod.reports()}
    return new


def test_one_of_three_workers_runs_it_and_another_one_takes_over(start_pod: StartPod, notes: Path) -> None:
    pod = start_pod("scheduled:app", workers=3, keepalive_seconds=0.5)
    eventually(lambda: pod.count() == 3, "three workers")
    first = int(eventually(lambda: runner(notes), "one runs it"))
    psutil.Process(first).kill()
    second = moves(pod, notes, first)
    eventually(lambda: pod.count() == 3, "the killed worker is replaced")
    psutil.Process(second).terminate()
    third = moves(pod, notes, second)
    assert [what for _, what in told(notes)].count("began") == 3
    pod.process.send_signal(signal.SIGTERM)
    assert pod.process.wait(30) == 0
    happened = told(notes)
    assert not [what for _, what in happened if what.startswith("overlaps")]
    # Cancelled and awaited before the application shuts down: what the job uses is open until it has ended.
    for pid in (second, third):
        assert [what for other, what in happened if other == pid] == ["began", "ended", "shut down"]


def test_it_moves_when_its_worker_is_removed(start_pod: StartPod, notes: Path, tmp_path: Path) -> None:
    document = tmp_path / "tuning.json"
    pod = start_pod("scheduled:app", workers=1, keepalive_seconds=0.5, tuning_file=document)
    first = int(eventually(lambda: runner(notes), "the only worker runs it"))
    for generation, workers in ((1, 2), (2, 1)):  # the oldest one goes first
        values = f'{{"workers": {workers}}}'
        text = f'{{"schema": "paceline.dev/tuning/v1", "generation": {generation}, "values": {values}}}'
        document.write_text(text)
        eventually(lambda count=workers: pod.count() == count, f"{workers} workers")
    moves(pod, notes, first)
    assert not [what for _, what in told(notes) if what.startswith("overlaps")]


def test_it_is_run_again_after_an_error(start_pod: StartPod, notes: Path) -> None:
    (notes / "fail").touch()
    pod = start_pod("scheduled:app")
    eventually(lambda: runner(notes), "the second run works")
    assert [what for _, what in told(notes)] == ["began", "began"]
    assert "scheduled.schedule failed; running it again in 1 s" in pod.stderr
    assert "as the test asked" in pod.stderr
