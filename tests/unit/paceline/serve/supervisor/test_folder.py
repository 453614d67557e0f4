"""Which folders a pod takes as its own, and which of those left behind it removes."""

import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from paceline.errors import UsageError
from paceline.serve.rundir import RunDir
from paceline.serve.supervisor import marker
from paceline.serve.supervisor.folder import check, claim_run_folder, sweep


@pytest.fixture
def close() -> Iterator[Callable[[int], None]]:
    descriptors: list[int] = []
    yield descriptors.append
    for descriptor in descriptors:
        os.close(descriptor)


def left_behind(path: Path) -> Path:
    """The folder of a pod that was killed."""
    path.mkdir()
    run = RunDir(path)
    lock = marker.claim(run)
    assert lock is not None
    os.close(lock)
    run.write_workers(2)
    run.report(7).touch()
    (run.metrics / "counter_7.db").touch()
    return path


def test_a_named_folder_is_made_for_this_user_alone(tmp_path: Path, close: Callable[[int], None]) -> None:
    folder, lock = claim_run_folder(tmp_path / "new" / "run")
    close(lock)
    assert folder == tmp_path / "new" / "run"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with pytest.raises(UsageError, match="belongs to a running"):
        claim_run_folder(folder)


def test_a_temporary_folder_is_private_and_locked_from_the_start(close: Callable[[int], None]) -> None:
    folder, lock = claim_run_folder(None)
    close(lock)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    sweep(iter([folder.parent]))
    assert folder.exists()
    marker.release(RunDir(folder), clean=True, started=True, temporary=True)


def a_link(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


def writable_by_a_group(folder: Path) -> None:
    folder.chmod(0o770)


def writable_by_all(folder: Path) -> None:
    folder.chmod(0o1777)


def other_files(folder: Path) -> None:
    (folder / "thesis.tex").touch()


def other_reports(folder: Path) -> None:
    (folder / "reports").mkdir()
    (folder / "reports" / "2025.pdf").touch()


def reports_elsewhere(folder: Path) -> None:
    folder.with_name("elsewhere").mkdir()
    (folder / "reports").symlink_to(folder.with_name("elsewhere"))


def a_planted_link(folder: Path) -> None:
    (folder / "effective.json").symlink_to("/etc/passwd")


def a_planted_pipe(folder: Path) -> None:
    os.mkfifo(folder / "workers")


@pytest.mark.invariant
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (a_link, "symbolic link"),
        (writable_by_a_group, "chmod 700"),
        (writable_by_all, "chmod 700"),
        (other_files, "thesis.tex"),
        (other_reports, "reports/2025.pdf"),
        (reports_elsewhere, "reports"),
        (a_planted_link, "effective.json"),
        (a_planted_pipe, "workers"),
    ],
)
def test_a_folder_that_is_not_ours_alone_is_refused_and_left_alone(
    tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    spoil(folder)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=says) as refused:
        claim_run_folder(folder)
    assert "--run-dir" in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_of_another_user_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(UsageError, match="belongs to user"):
        check(tmp_path)


def test_what_a_killed_pod_left_is_removed(tmp_path: Path) -> None:
    folder = left_behind(tmp_path / "paceline-abcd1234")
    sweep(iter([tmp_path]))
    assert not folder.exists()


@pytest.mark.invariant
@pytest.mark.parametrize("hold", [lambda run: run.hold(), marker.claim])
def test_what_a_process_holds_stays(
    tmp_path: Path, hold: Callable[[RunDir], int], close: Callable[[int], None]
) -> None:
    folder = left_behind(tmp_path / "paceline-abcd1234")
    close(hold(RunDir(folder)))
    before = sorted(folder.rglob("*"))
    sweep(iter([tmp_path]))
    assert sorted(folder.rglob("*")) == before


def renamed(folder: Path) -> None:
    folder.rename(folder.with_name("paceline-backup-of-mine"))


def open_to_others(folder: Path) -> None:
    folder.chmod(0o777)


def without_a_marker(folder: Path) -> None:
    (folder / "running").unlink()


def just_being_made(folder: Path) -> None:
    folder.rename(folder.with_name("paceline.abcd1234"))


@pytest.mark.parametrize(
    "spoil", [renamed, a_link, open_to_others, other_files, reports_elsewhere, without_a_marker, just_being_made]
)
def test_what_may_be_somebody_elses_stays(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    folder = left_behind(tmp_path / "paceline-abcd1234")
    if spoil is reports_elsewhere:
        (folder / "reports" / "7.json").unlink()
        (folder / "reports").rmdir()
    spoil(folder)
    before = sorted(tmp_path.rglob("*"))
    sweep(iter([tmp_path]))
    assert sorted(tmp_path.rglob("*")) == before


def test_one_that_was_never_finished_goes_after_a_minute(tmp_path: Path) -> None:
    folder = tmp_path / "paceline.abcd1234"
    folder.mkdir()
    os.utime(folder, (time.time() - 61,) * 2)
    sweep(iter([tmp_path]))
    assert not folder.exists()
