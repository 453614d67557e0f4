"""`tune.processes` without the runtime: calls run in children of this process."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from paceline import tune
from paceline.document.model import Values
from paceline.errors import PoolError, PoolFull, ProcessDied, UsageError
from paceline.telemetry.time_spent import Kind, TimeSpent, current
from serving import APPLICATIONS, eventually_async

Call = Callable[..., Any]


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(APPLICATIONS)
    import cpu_work  # type: ignore[import-not-found]

    return cpu_work


@pytest.fixture
async def pool(tunables: tune.Tunables) -> AsyncIterator[tune.Processes]:
    async with tune.processes(limit=2, cap=3, queue=1, tunables=tunables) as pool:
        yield pool


def running(folder: Path) -> list[int]:
    return [int(path.suffix[1:]) for path in folder.glob("running.*")]


async def test_results_and_exceptions_come_back(pool: tune.Processes, work: Any) -> None:
    assert await pool.run(work.add, 1, other=2) == 3
    with pytest.raises(ValueError, match="no good") as caught:
        await pool.run(work.fail, "no good")
    assert "cpu_work.py" in caught.value.__notes__[0], "the traceback in the child is lost"
    with pytest.raises(PoolError, match="Unportable: broken"):
        await pool.run(work.fail_unportably)
    assert await pool.run(partial(work.add, 5)) == 5


async def test_a_process_is_used_again(pool: tune.Processes, work: Any) -> None:
    first = await pool.run(work.pid)
    assert first != psutil.Process().pid
    assert [await pool.run(work.pid) for _ in range(3)] == [first] * 3


async def test_what_no_process_could_import_is_refused(pool: tune.Processes) -> None:
    def local() -> None:
        return

    async def coroutine() -> None:
        return

    with pytest.raises(UsageError, match="local cannot be imported by another process: define it at the top level"):
        await pool.run(local)
    with pytest.raises(UsageError, match="is async: await it here"):
        await pool.run(coroutine)
    with pytest.raises(UsageError, match=r"id cannot be sent to another process: .*lock"):
        await pool.run(id, threading.Lock())


@pytest.mark.parametrize(("function", "fate"), [("die", "was killed by SIGKILL"), ("leave", "ended with status 7")])
async def test_a_process_that_dies_fails_its_own_call_alone(
    pool: tune.Processes, work: Any, tmp_path: Path, function: str, fate: str
) -> None:
    other = asyncio.create_task(pool.run(work.wait_for, str(tmp_path), "go"))
    await eventually_async(lambda: running(tmp_path), "the other call runs")
    with pytest.raises(ProcessDied, match=fate):
        await pool.run(getattr(work, function))
    (tmp_path / "go").touch()
    assert isinstance(await other, int)
    assert await pool.run(work.add, 1, 1) == 2


async def test_a_process_that_died_idle_fails_no_call(pool: tune.Processes, work: Any) -> None:
    first = psutil.Process(await pool.run(work.pid))
    first.kill()
    await eventually_async(lambda: not pool._executor._idle[0].usable, "the death is seen")  # type: ignore[union-attr]
    assert await pool.run(work.pid) != first.pid


async def test_one_call_more_than_may_wait_is_refused(pool: tune.Processes, work: Any, tmp_path: Path) -> None:
    calls = [asyncio.create_task(pool.run(work.wait_for, str(tmp_path), "go")) for _ in range(3)]
    await eventually_async(lambda: len(running(tmp_path)) == 2, "two run and one waits")
    with pytest.raises(PoolFull, match="all 2 processes are busy and 1 calls wait") as caught:
        await pool.run(work.pid)
    assert caught.value.retry_after_seconds >= 1
    report = pool.report()
    assert (report["inUse"], report["waiting"], report["timeouts"]) == (2, 1, 1)
    (tmp_path / "go").touch()
    await asyncio.gather(*calls)
    report = pool.report()
    assert (report["inUse"], report["waiting"], report["hold"]["count"]) == (0, 0, 3)


async def test_cancelled_work_stops_and_makes_room(pool: tune.Processes, work: Any, tmp_path: Path) -> None:
    calls = [asyncio.create_task(pool.run(work.spin, str(tmp_path))) for _ in range(2)]
    await eventually_async(lambda: len(list(tmp_path.iterdir())) == 2, "both spin")
    spinning = [psutil.Process(int(path.suffix[1:])) for path in tmp_path.iterdir()]
    next_call = asyncio.create_task(pool.run(work.add, 2, 2))
    calls[0].cancel()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await calls[1]
    assert await next_call == 4
    await eventually_async(lambda: not any(process.is_running() for process in spinning), "both are gone")


async def test_a_call_cancelled_while_it_waits_never_runs(pool: tune.Processes, work: Any, tmp_path: Path) -> None:
    calls = [asyncio.create_task(pool.run(work.wait_for, str(tmp_path), "go")) for _ in range(2)]
    await eventually_async(lambda: len(running(tmp_path)) == 2, "both run")
    waiting = asyncio.create_task(pool.run(work.spin, str(tmp_path)))
    await eventually_async(lambda: pool.report()["waiting"] == 1, "it waits")
    waiting.cancel()
    (tmp_path / "go").touch()
    await asyncio.gather(*calls)
    assert pool.report()["waiting"] == 0
    assert await pool.run(work.add, 1) == 1
    assert not list(tmp_path.glob("spinning.*"))


async def test_the_size_moves_while_it_runs(
    pool: tune.Processes, work: Any, tmp_path: Path, tunables: tune.Tunables
) -> None:
    tunables.apply(Values(pools={"processes": 9}))
    assert pool.report()["limit"] == 3, "the cap holds"
    calls = [asyncio.create_task(pool.run(work.wait_for, str(tmp_path), "go")) for _ in range(3)]
    await eventually_async(lambda: len(running(tmp_path)) == 3, "three run")
    (tmp_path / "go").touch()
    children = [psutil.Process(pid) for pid in await asyncio.gather(*calls)]
    tunables.apply(Values(pools={"processes": 1}))
    await eventually_async(lambda: sum(child.is_running() for child in children) == 1, "two idle processes have ended")
    (tmp_path / "go").unlink()
    calls = [asyncio.create_task(pool.run(work.wait_for, str(tmp_path), "go")) for _ in range(2)]
    await eventually_async(lambda: running(tmp_path) and pool.report()["waiting"] == 1, "one runs, one waits")
    tunables.apply(Values(pools={"processes": 2}))
    await eventually_async(lambda: len(running(tmp_path)) == 2, "both run")
    (tmp_path / "go").touch()
    await asyncio.gather(*calls)


async def test_closing_ends_all_and_frees_the_name(work: Any, tunables: tune.Tunables, tmp_path: Path) -> None:
    async with tune.processes(tunables=tunables) as pool:
        call = asyncio.create_task(pool.run(work.spin, str(tmp_path)))
        await eventually_async(lambda: list(tmp_path.iterdir()), "it spins")
        (witness,) = tmp_path.iterdir()
    with pytest.raises(ProcessDied):
        await call
    assert not psutil.pid_exists(int(witness.suffix[1:]))
    with pytest.raises(PoolError, match="is closed"):
        await pool.run(work.pid)
    tunables.serving = True
    async with tune.processes(tunables=tunables):
        with pytest.raises(PoolError, match="registered twice"):
            tune.processes(tunables=tunables)


def test_a_limit_outside_its_cap_is_refused() -> None:
    with pytest.raises(PoolError, match="limit must be from 1 to the cap of 2, got 3"):
        tune.processes(limit=3, cap=2, tunables=tune.Tunables())
    with pytest.raises(PoolError, match="queue must be 0 or more calls, got -1"):
        tune.processes(queue=-1, tunables=tune.Tunables())


async def test_a_request_is_told_what_its_calls_waited_and_ran(pool: tune.Processes, work: Any) -> None:
    spent = TimeSpent()
    current.set(spent)
    await pool.run(work.add, 1, other=2)
    assert [(step.kind, step.name) for step in spent.steps] == [(Kind.WAIT, pool.name), (Kind.RUN, pool.name)]
    assert spent.steps[0].ended == spent.steps[1].started
