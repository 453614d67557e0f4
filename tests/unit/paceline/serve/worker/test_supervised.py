"""A background task of a worker that fails is logged, named, and started again later each time."""

import asyncio
import logging
from datetime import UTC, datetime

import pytest
from paceline.serve.worker.supervised import SupervisedTasks, described

NOW = datetime(2026, 11, 30, tzinfo=UTC)


async def test_a_task_that_fails_is_started_again_with_its_cause_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    slept: list[float] = []
    runs = 0

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    async def fail() -> None:
        nonlocal runs
        runs += 1
        if runs == 9:
            stopped.set()
            await asyncio.Event().wait()
        raise OSError(f"no smaps, time {runs}") from KeyError("cause")

    tasks, stopped = SupervisedTasks(sleep=sleep, now=lambda: NOW), asyncio.Event()
    async with tasks.beside({"memory": fail}):
        await asyncio.wait_for(stopped.wait(), 30)
        told = tasks.degraded()
    assert slept == [1, 2, 4, 8, 16, 32, 60, 60]
    assert told == [{"task": "memory", "error": "OSError: no smaps, time 8", "since": NOW.isoformat()}]
    assert "the worker's task 'memory' failed (OSError: no smaps, time 1); starting it again in 1 s" in caplog.text
    assert "KeyError: 'cause'" in caplog.text


async def test_a_task_that_ends_by_itself_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    runs = 0

    async def end() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            again.set()
            await asyncio.Event().wait()

    again = asyncio.Event()
    tasks = SupervisedTasks(sleep=lambda _: asyncio.sleep(0))
    async with tasks.beside({"heartbeat": end}):
        await asyncio.wait_for(again.wait(), 30)
        assert tasks.degraded()[0]["error"] == "RuntimeError: it ended by itself"


async def test_the_others_go_on_and_one_that_runs_well_again_is_not_named_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("paceline.serve.worker.supervised._SOUND_SECONDS", 0.05)
    failed = False
    beats = 0

    async def once() -> None:
        nonlocal failed
        if not failed:
            failed = True
            raise ValueError("once")
        await asyncio.Event().wait()

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0.001)

    tasks = SupervisedTasks(sleep=lambda _: asyncio.sleep(0.01))
    async with tasks.beside({"tuning": once, "heartbeat": beat}), asyncio.timeout(30):
        while not tasks.degraded():  # noqa: ASYNC110 - a report sets no event
            await asyncio.sleep(0.001)
        assert [each["task"] for each in tasks.degraded()] == ["tuning"]
        before = beats
        while tasks.degraded():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert beats > before


async def test_a_cancellation_that_nobody_asked_for_is_a_failure() -> None:
    """A scope of a library's that leaks: the task would be gone, and nobody would know."""
    runs = 0

    async def leaking() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise asyncio.CancelledError
        await asyncio.Event().wait()

    tasks = SupervisedTasks(sleep=lambda _: asyncio.sleep(0.001))
    async with tasks.beside({"tuning": leaking}), asyncio.timeout(30):
        while runs < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert [each["error"] for each in tasks.degraded()] == ["RuntimeError: it was cancelled from within"]


async def test_a_task_that_fails_when_it_is_cancelled_still_ends() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            raise ValueError("not now") from error

    tasks = SupervisedTasks()
    async with asyncio.timeout(30):
        async with tasks.beside({"tuning": stubborn}):
            await asyncio.sleep(0)
    assert tasks.degraded() == []


async def test_the_end_of_the_body_ends_the_tasks_quietly(caplog: pytest.LogCaptureFixture) -> None:
    tasks = SupervisedTasks()
    async with tasks.beside({"heartbeat": asyncio.Event().wait}):  # type: ignore[dict-item]
        await asyncio.sleep(0)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_no_credentials_in_what_state_shows() -> None:
    assert described(ValueError("cannot parse redis://:geheim@cache:6379/0")) == (
        "ValueError: cannot parse redis://***@cache:6379/0"
    )
    assert len(described(ValueError("x" * 10_000))) == 200
