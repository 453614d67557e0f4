from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from fake_worker import report_of
from paceline.serve.agent.reports import Reports, process_started
from paceline.serve.rundir import RunDir, write_atomically


class Processes:
    """The process table: when each pid's process started."""

    def __init__(self) -> None:
        self.started: dict[int, int] = {}

    def __call__(self, pid: int) -> int | None:
        return self.started.get(pid)


@pytest.fixture
def processes() -> Processes:
    return Processes()


@pytest.fixture
def reports(tmp_path: Path, processes: Processes) -> Reports:
    run = RunDir(tmp_path)
    run.reports.mkdir()
    return Reports(run, processes)


@pytest.fixture
def writes(reports: Reports, processes: Processes) -> Callable[..., None]:
    def write(pid: int, **report: Any) -> None:
        processes.started.setdefault(pid, pid)
        write_atomically(reports.run_dir.report(pid), orjson.dumps(report_of(pid, **report)))

    return write


def requests(reports: Reports) -> int:
    return sum(entry["count"] for entry in reports.totals()["requests"])


def test_a_living_worker_is_shown_as_it_last_reported(reports: Reports, writes: Callable[..., None]) -> None:
    writes(7, step=3, in_use=2)
    writes(5, step=3, ready=False)
    reports.read()
    oldest, youngest = reports.workers()
    assert (oldest.pid, oldest.ready) == (5, False)
    assert (youngest.step, youngest.pools["postgres"].in_use) == (3, 2)
    writes(7, step=4)
    reports.read()
    assert reports.workers()[1].step == 4


def test_counters_never_go_back_when_workers_go(
    reports: Reports, writes: Callable[..., None], processes: Processes
) -> None:
    writes(7, count=10)
    writes(8, count=5)
    reports.read()
    assert requests(reports) == 15
    writes(7, count=12, draining=True)
    del processes.started[7]
    reports.read()
    assert requests(reports) == 17
    assert [worker.pid for worker in reports.workers()] == [8]
    assert not reports.run_dir.report(7).exists()
    reports.read()
    assert requests(reports) == 17


def test_a_worker_that_came_and_went_between_two_passes_is_counted(
    reports: Reports, writes: Callable[..., None], processes: Processes
) -> None:
    writes(7, count=3)
    del processes.started[7]
    reports.read()
    reports.read()
    assert requests(reports) == 3
    assert reports.living == ()
    assert reports.restarts == 1


def test_the_next_process_with_the_same_pid_is_another_worker(
    reports: Reports, writes: Callable[..., None], processes: Processes
) -> None:
    writes(7, count=3)
    reports.read()
    processes.started[7] = 99
    reports.read()
    writes(7, count=1)
    reports.read()
    assert requests(reports) == 4
    assert reports.restarts == 1


@pytest.mark.parametrize(
    ("draining", "removals", "stopping", "restarts"),
    [
        pytest.param(False, 0, False, 1, id="nobody asked it to go"),
        pytest.param(True, 0, False, 0, id="it was draining"),
        pytest.param(False, 1, False, 0, id="a removal was asked for and it went before it could say so"),
        pytest.param(False, 0, True, 0, id="the pod stops"),
    ],
)
def test_restarts_count_workers_that_went_unasked(
    reports: Reports,
    writes: Callable[..., None],
    processes: Processes,
    draining: bool,
    removals: int,
    stopping: bool,
    restarts: int,
) -> None:
    writes(7, draining=draining)
    reports.read()
    reports.expect_removals(removals)
    processes.started.clear()
    reports.read(stopping=stopping)
    assert reports.restarts == restarts


def test_each_removal_excuses_one_worker(reports: Reports, writes: Callable[..., None], processes: Processes) -> None:
    writes(7)
    writes(8)
    reports.read()
    reports.expect_removals(1)
    processes.started.clear()
    reports.read()
    assert reports.restarts == 1


def test_a_removal_taken_back_excuses_nobody(
    reports: Reports, writes: Callable[..., None], processes: Processes
) -> None:
    writes(7)
    reports.read()
    reports.expect_removals(1)
    reports.expect_removals(-1)
    processes.started.clear()
    reports.read()
    assert reports.restarts == 1


def test_what_a_closed_pool_counted_stays(reports: Reports, writes: Callable[..., None]) -> None:
    writes(7, in_use=2)
    reports.read()
    held = reports.totals()["pools"]["postgres"]["hold"]["count"]
    assert held > 0
    writes(7, pools={})
    reports.read()
    pool = reports.totals()["pools"]["postgres"]
    assert (pool["inUse"], pool["hold"]["count"]) == (0, held)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"pid": 7}'], ids=repr)
def test_an_unreadable_report_leaves_the_last_one_in_place(
    reports: Reports, writes: Callable[..., None], content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    writes(7, step=3)
    reports.read()
    write_atomically(reports.run_dir.report(7), content)
    reports.read()
    reports.read()
    assert reports.workers()[0].step == 3
    assert len(caplog.records) == 1


def test_other_files_are_none_of_its_business(reports: Reports) -> None:
    (reports.run_dir.reports / "notes.json").write_text("{}")
    (reports.run_dir.reports / ".7.json.8").write_text("{")
    reports.read()
    assert reports.living == ()


def test_a_process_is_told_from_none() -> None:
    import os
    import subprocess

    assert process_started(os.getpid()) == process_started(os.getpid()) is not None
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_started(child.pid) is None, "a zombie holds no connection"
    child.wait()
    assert process_started(child.pid) is None


def routes(reports: Reports, *asked: str) -> dict[str, int]:
    return {entry["group"]: entry["count"] for entry in reports.totals(asked)["requests"]}


def row(group: str, count: int) -> dict[str, Any]:
    return {**report_of(1, count=count)["requests"][0], "group": group}


def test_every_route_is_counted_whatever_worker_saw_it_first_and_whichever_has_gone(
    reports: Reports, writes: Callable[..., None], processes: Processes
) -> None:
    names = [f"GET /{number}" for number in range(13)]
    writes(7, requests=[row(name, 4) for name in names])
    writes(8, requests=[row(name, 6) for name in reversed(names)])
    reports.read()
    assert routes(reports, *reports.groups) == dict.fromkeys(names, 10)
    shown = routes(reports)
    assert len(shown) == 8 + 1
    assert sum(shown.values()) == 130
    writes(9, requests=[row("GET /late", 1000)])
    del processes.started[7], processes.started[9]
    reports.read()
    reports.read()
    assert routes(reports, *reports.groups) == {**dict.fromkeys(names, 10), "GET /late": 1000}
    assert routes(reports) == {**shown, "other": shown["other"] + 1000}, "no counter went back, no name either"


def test_a_route_that_is_asked_for_is_told_apart_from_the_others(reports: Reports, writes: Callable[..., None]) -> None:
    writes(7, requests=[row(f"GET /{number}", 20 - number) for number in range(13)])
    reports.read()
    assert routes(reports)["other"] == 12 + 11 + 10 + 9 + 8
    asked = routes(reports, "GET /12", "GET /unheard-of")
    assert (asked["GET /12"], asked["other"]) == (8, 12 + 11 + 10 + 9)
    assert "GET /unheard-of" not in asked
