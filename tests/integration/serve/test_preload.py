"""What the application makes while it loads, in workers that are forked from it."""

import re
from pathlib import Path

import psutil
import pytest
from serving import Served, StartArbiter, eventually


def _vouchers(pod: Served, count: int = 60) -> set[bytes]:
    return {pod.get()[1] for _ in range(count)}


def _preloaded(pod: Served) -> bool:
    return "--no-preload" not in psutil.Process(pod.pid).cmdline()


@pytest.mark.invariant
@pytest.mark.parametrize("silent", [False, True])
def test_workers_never_share_a_random_sequence(
    start_arbiter: StartArbiter, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    """And the reason why preload is off arrives, even if the application silences all logs."""
    if silent:
        monkeypatch.setenv("VOUCHERS_SILENT", "1")
    pod = start_arbiter("vouchers:app", workers=3)
    assert len(_vouchers(pod)) == 60
    assert not _preloaded(pod)
    (line,) = (line for line in pod.stderr.splitlines() if "preload is off" in line)
    assert "random generator vouchers.codes" in line
    assert "tune.fork_safe(...)" in line


@pytest.mark.invariant
def test_a_generator_that_is_fork_safe_leaves_preload_on(
    start_arbiter: StartArbiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOUCHERS_SAFE", "1")
    pod = start_arbiter("vouchers:app", workers=3)
    assert len(_vouchers(pod)) == 60
    assert _preloaded(pod)
    assert "preload" not in pod.stderr


def test_a_thread_that_writes_the_log_runs_in_every_worker(start_arbiter: StartArbiter, tmp_path: Path) -> None:
    pod = start_arbiter("log_thread:app", workers=2)
    assert _preloaded(pod)
    workers = set(pod.ready_workers())

    def wrote() -> bool:
        pod.get()
        return {int(pid) for pid in re.findall(r"a request in (\d+)", pod.stderr)} == workers

    eventually(wrote, "both workers have written")
    assert "preload" not in pod.stderr
