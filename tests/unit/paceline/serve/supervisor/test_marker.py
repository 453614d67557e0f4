"""The marker in the run folder tells the next life how this one ended."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from paceline.serve.rundir import RunDir
from paceline.serve.supervisor import marker


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    made = RunDir(tmp_path / "run")
    made.path.mkdir()
    return made


@pytest.fixture
def life(run: RunDir) -> Iterator[None]:
    """A life of the pod that holds the folder."""
    lock = marker.claim(run)
    assert lock is not None
    yield
    os.close(lock)


def _live(run: RunDir, *, clean: bool, started: bool = True) -> bool:
    """One whole life; returns whether it knew that the one before was cut short."""
    lock = marker.claim(run)
    assert lock is not None
    unclean = run.unclean.exists()
    marker.release(run, clean=clean, started=started, temporary=False)
    os.close(lock)
    return unclean


def test_the_first_life_is_clean(run: RunDir) -> None:
    assert not _live(run, clean=True)


def test_a_clean_life_leaves_no_marker(run: RunDir) -> None:
    _live(run, clean=True)
    assert not _live(run, clean=True)


def test_a_life_cut_short_is_known_to_the_next_one_only(run: RunDir) -> None:
    _live(run, clean=False)
    assert _live(run, clean=True)
    assert not _live(run, clean=True)


def test_an_application_that_never_loaded_says_nothing_about_the_values(run: RunDir) -> None:
    _live(run, clean=False, started=False)
    assert not _live(run, clean=True)


def test_an_application_that_never_loaded_does_not_hide_the_life_before(run: RunDir) -> None:
    _live(run, clean=False)
    _live(run, clean=False, started=False)
    assert _live(run, clean=True)


@pytest.mark.usefixtures("life")
def test_a_folder_has_one_owner(run: RunDir) -> None:
    assert marker.claim(run) is None


def test_whoever_outlives_the_supervisor_keeps_the_folder(run: RunDir) -> None:
    _live(run, clean=False)
    worker = run.hold()
    assert marker.claim(run) is None
    os.close(worker)
    assert _live(run, clean=True)


def test_a_new_life_sees_nothing_of_the_former_one(run: RunDir) -> None:
    _live(run, clean=False)
    run.write_workers(7)
    run.report(1).write_bytes(b"{}")
    run.terminating.touch()
    run.effective.touch()
    (run.metrics / "counter_1.db").touch()
    _live(run, clean=False)
    assert sorted(path.name for path in run.path.rglob("*")) == ["held", "metrics", "reports", "running", "unclean"]


def test_a_temporary_folder_goes_with_its_life(run: RunDir) -> None:
    lock = marker.claim(run)
    assert lock is not None
    run.report(1).write_bytes(b"{}")
    marker.release(run, clean=True, started=True, temporary=True)
    os.close(lock)
    assert not run.path.exists()
