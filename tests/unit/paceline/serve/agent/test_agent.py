import asyncio
import logging
from pathlib import Path

import orjson
import pytest
from fake_worker import report_of
from paceline.document.pod import Memory
from paceline.serve.agent.agent import Guarded, read_cpu, read_memory, repeat
from paceline.serve.agent.reports import Reports
from paceline.serve.rundir import RunDir
from paceline.telemetry.cgroup import CgroupV2, Cpu


@pytest.fixture
def reports(tmp_path: Path) -> Reports:
    """Two workers of 40 and 70 MB, and one that has not been weighed."""
    run = RunDir(tmp_path)
    run.reports.mkdir()
    for pid, weight in ((1, 40), (2, 70), (3, 0)):
        run.report(pid).write_bytes(orjson.dumps(report_of(pid, weight=weight)))
    reports = Reports(run, lambda pid: pid)
    reports.read()
    return reports


def test_one_more_worker_will_weigh_as_much_as_the_heaviest(tmp_path: Path, reports: Reports) -> None:
    (tmp_path / "memory.max").write_text("500\n")
    (tmp_path / "memory.current").write_text("200\n")
    (tmp_path / "memory.stat").write_text("inactive_file 20\n")
    assert read_memory(CgroupV2(tmp_path), reports) == Memory(500, 180, 70)


def test_where_the_kernel_says_nothing_workers_are_added_up(tmp_path: Path, reports: Reports) -> None:
    assert read_memory(None, reports) == Memory(None, 110, 70)
    assert read_memory(CgroupV2(tmp_path), reports) == Memory(None, 110, 70)


def test_before_any_worker_was_weighed_its_weight_is_unknown_not_zero(tmp_path: Path) -> None:
    assert read_memory(None, Reports(RunDir(tmp_path), lambda pid: pid)) == Memory(None, 0, None)


def test_without_a_limit_the_workers_cpu_counts_not_the_groups(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.reports.mkdir()
    alive = {1: 1, 2: 2}
    reports = Reports(run, alive.get)
    for pid, seconds in ((1, 2.5), (2, 1.5)):
        run.report(pid).write_bytes(orjson.dumps(report_of(pid) | {"cpuSeconds": seconds}))
    reports.read()
    (tmp_path / "cpu.stat").write_text("usage_usec 99000000\nnr_periods 7\nnr_throttled 3\n")

    assert read_cpu(None, reports) == Cpu(None, 4.0, 0, 0)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert read_cpu(CgroupV2(tmp_path), reports) == Cpu(None, 4.0, 0, 0)
    (tmp_path / "cpu.max").write_text("200000 100000\n")
    assert read_cpu(CgroupV2(tmp_path), reports) == Cpu(2.0, 99.0, 7, 3)

    del alive[1]
    reports.read()
    assert read_cpu(None, reports).usage_seconds == 4.0, "what a worker used stays when it has gone"


def test_a_pass_that_goes_wrong_is_said_once_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    faults = ["full", "full", "", "full"]

    def run_pass() -> None:
        if fault := faults.pop():
            raise OSError(fault)

    look = Guarded(run_pass)
    with caplog.at_level(logging.ERROR):
        for _ in range(4):
            look()
    assert [record.message for record in caplog.records] == ["a pass failed; what runs stays, trying again"] * 2


@pytest.mark.parametrize(
    ("changing", "news_at", "looks"),
    [
        pytest.param(False, None, 20, id="a second at rest"),
        pytest.param(True, None, 2, id="a tenth of a second while something moves"),
        pytest.param(False, 3, 3, id="at once when the document changed"),
        pytest.param(True, 1, 1, id="at once while something moves, too"),
    ],
)
async def test_when_the_next_pass_is_due(changing: bool, news_at: int | None, looks: int) -> None:
    stop, slept, passes = asyncio.Event(), list[float](), list[int]()

    def look() -> None:
        passes.append(len(slept))
        if len(passes) == 2:
            stop.set()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    await repeat(look, stop, news=lambda: len(slept) == news_at, changing=lambda: changing, sleep=sleep)
    assert passes == [0, looks]
    assert set(slept) == {0.05}
