"""A worker applies what the agent writes and reports what it measured."""

import asyncio
import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from paceline.document.model import Values
from paceline.document.tunables import CacheValues
from paceline.resources.registry import Tunables
from paceline.serve.rundir import Effective, RunDir
from paceline.serve.worker.reporter import Measured, Reporter, private_bytes
from paceline.serve.worker.supervised import SupervisedTasks
from paceline.settings import TelemetrySettings
from paceline.telemetry.loop_lag import LoopLag
from paceline.telemetry.requests import RequestStats
from paceline.telemetry.tracing import Tracing
from serving import eventually_async


class Cache:
    """A cache as the registry sees one."""

    name = "answers"
    origin = "app.load"
    closed = False
    note = ""
    start_ttl_seconds = 60.0

    def __init__(self) -> None:
        self.ttl_seconds = self.start_ttl_seconds

    def set_ttl(self, seconds: float) -> None:
        self.ttl_seconds = seconds

    def report(self) -> dict[str, Any]:
        return {"ttlSeconds": self.ttl_seconds}


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path)
    run.reports.mkdir()
    return run


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.fixture
def reporter(run: RunDir, cache: Cache) -> Reporter:
    tunables = Tunables()
    tunables.add_cache(cache)
    measured = Measured(tunables, RequestStats(), LoopLag(), Tracing(TelemetrySettings()))
    return Reporter(run, 7, measured, clock=lambda: 12.5)


def _report(run: RunDir) -> dict[str, Any]:
    return dict(orjson.loads(run.report(7).read_bytes()))


def test_before_the_agent_has_spoken_start_values_are_reported(run: RunDir, reporter: Reporter) -> None:
    assert not reporter.refresh()
    reporter.write()
    report = _report(run)
    assert (report["pid"], report["generation"], report["step"], report["time"]) == (7, 0, 0, 12.5)
    assert (report["ready"], report["draining"]) == (False, False)
    assert report["startValues"] == {"pools": {}, "caches": {"answers": {"ttlSeconds": 60}}}


def test_a_file_is_applied_once_for_each_time_it_is_written(run: RunDir, reporter: Reporter, cache: Cache) -> None:
    run.write_effective(Effective(3, 5, Values(caches={"answers": CacheValues(9)})))
    assert reporter.refresh()
    assert not reporter.refresh()
    assert cache.ttl_seconds == 9
    assert reporter.generation == 3
    run.write_effective(Effective(4, 6, Values()))
    assert reporter.refresh()
    assert cache.ttl_seconds == 60


def test_a_worker_is_seen_before_it_applies_anything(
    run: RunDir, reporter: Reporter, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So whoever writes the values and then lists the reports knows every worker that may run older ones."""
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(cache, "set_ttl", lambda _: seen.append(_report(run)))
    run.write_effective(Effective(3, 5, Values()))
    reporter.refresh()
    assert [(report["step"], report["ready"]) for report in seen] == [(0, False)]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"generation": 4, "step": 6}', id="half"),
        pytest.param(b'{"generation":4,"step":6,"values":{"workers":"x"},"traceparent":null}', id="wrong type"),
    ],
)
def test_an_unreadable_file_changes_nothing(
    run: RunDir, reporter: Reporter, cache: Cache, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    run.write_effective(Effective(3, 5, Values(caches={"answers": CacheValues(9)})))
    reporter.refresh()
    run.effective.write_bytes(content)
    assert not reporter.refresh()
    assert not reporter.refresh()
    assert (reporter.generation, cache.ttl_seconds) == (3, 9)
    assert caplog.text.count("what runs stays") == 1


def test_readiness_is_told_at_once(run: RunDir, reporter: Reporter) -> None:
    reporter.accepting()
    assert (_report(run)["ready"], _report(run)["draining"]) == (True, False)
    reporter.draining()
    assert (_report(run)["ready"], _report(run)["draining"]) == (False, True)


async def test_a_report_that_fails_is_tried_again(
    run: RunDir, reporter: Reporter, cache: Cache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def closed() -> dict[str, Any]:
        raise RuntimeError("the pool is closed")

    reporter.write()
    monkeypatch.setattr(cache, "report", closed)
    run.write_effective(Effective(2, 4, Values()))
    running = asyncio.create_task(reporter.follow())
    await eventually_async(lambda: "a report failed" in caplog.text, "the failure is logged")
    failing, generation = _report(run)["degraded"][0], _report(run)["generation"]
    assert (failing["task"], failing["error"], generation) == ("reports", "RuntimeError: the pool is closed", 0)
    monkeypatch.undo()
    run.write_effective(Effective(3, 5, Values()))
    await eventually_async(lambda: _report(run)["generation"] == 3, "the next report is written")
    assert _report(run)["degraded"] == []
    running.cancel()


class StubbornPool:
    """A pool as the registry sees one, whose driver does not let its limit move any more."""

    name, cap, start_limit, closed = "postgres", 40, 5, False

    def __init__(self) -> None:
        self.limit = 0
        self.broken = False

    def set_limit(self, limit: int) -> None:
        if self.broken:
            raise AttributeError("'Pool' object has no attribute '_queue'")
        self.limit = limit

    def report(self) -> dict[str, Any]:
        return {"limit": self.limit}

    def sockets(self) -> list[Any]:
        return []


@pytest.mark.invariant
async def test_values_that_a_pool_does_not_take_are_not_reported_as_run(run: RunDir, cache: Cache) -> None:
    tunables, pool, other = Tunables(), StubbornPool(), StubbornPool()
    other.name = "reports"  # type: ignore[misc]
    for each in (pool, other):
        tunables.add_pool(each)
    tunables.add_cache(cache)
    measured = Measured(tunables, RequestStats(), LoopLag(), Tracing(TelemetrySettings()))
    tasks = SupervisedTasks(sleep=lambda _: asyncio.sleep(0.05))
    reporter = Reporter(run, 7, measured, degraded=tasks.degraded)
    pool.broken = True
    async with tasks.beside({"tuning": reporter.follow, "reports": reporter.keep_reporting}):
        run.write_effective(Effective(3, 5, Values(pools={"postgres": 9, "reports": 9})))
        await eventually_async(lambda: run.report(7).exists() and _report(run)["degraded"], "the report says so")
        (told,) = _report(run)["degraded"]
        assert told["task"] == "tuning"
        assert told["error"].startswith("PoolError: pool 'postgres' does not take its limit: AttributeError: 'Pool'")
        assert (_report(run)["generation"], _report(run)["step"]) == (0, 0), "no ack"
        assert other.limit == 9, "all others follow"
        pool.broken = False
        await eventually_async(lambda: _report(run)["generation"] == 3, "it is tried again")
        assert pool.limit == 9


async def test_a_start_with_values_that_a_pool_does_not_take_waits(run: RunDir) -> None:
    tunables, pool = Tunables(), StubbornPool()
    tunables.add_pool(pool)
    pool.broken = True
    reporter = Reporter(run, 7, Measured(tunables, RequestStats(), LoopLag(), Tracing(TelemetrySettings())))
    run.write_effective(Effective(3, 5, Values(pools={"postgres": 9})))
    settling = asyncio.create_task(reporter.settle(lambda: False))
    await asyncio.wait({settling}, timeout=0.1)
    assert not settling.done()
    pool.broken = False
    await asyncio.wait_for(settling, 30)
    assert reporter.generation == 3


async def test_a_start_waits_for_the_agent(run: RunDir, reporter: Reporter) -> None:
    settling = asyncio.create_task(reporter.settle(lambda: False))
    await asyncio.wait({settling}, timeout=0.1)
    assert not settling.done()
    run.write_effective(Effective(3, 5, Values()))
    await asyncio.wait_for(settling, 30)
    assert reporter.generation == 3


async def test_a_start_that_is_called_off_does_not_wait(reporter: Reporter) -> None:
    await asyncio.wait_for(reporter.settle(lambda: True), 30)


def test_a_folder_that_is_gone_does_not_stop_the_worker(
    run: RunDir, reporter: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    run.reports.rmdir()
    reporter.write()
    assert "cannot write the worker's report" in caplog.text


def test_names_that_nobody_registered_are_unknown() -> None:
    values = Values(pools={"postgres": 3, "other": 1}, caches={"answers": CacheValues(1), "gone": CacheValues(1)})
    tuned = {"pools": {"postgres": {}}, "caches": {"answers": {}}}
    assert values.unknown(tuned) == ["gone", "other"]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_memory_shared_with_a_parent_does_not_count() -> None:
    ballast = os.urandom(32 * 2**20)
    before = private_bytes()
    reader, writer = os.pipe()
    if not (pid := os.fork()):
        os.write(writer, str(private_bytes()).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert int(os.read(reader, 100)) < before - len(ballast) / 2
    os.close(reader)
    os.close(writer)
