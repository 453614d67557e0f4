"""Running a job until it returns, later and later after errors."""

import asyncio
import logging

import pytest
from paceline import tune
from paceline.errors import UsageError
from paceline.resources.jobs import Job, keep_running, next_delay_seconds
from paceline.resources.registry import Tunables


def test_delays_double_up_to_a_minute_and_begin_anew_after_a_long_run() -> None:
    delays = [next_delay_seconds(0, 0)]
    for _ in range(8):
        delays.append(next_delay_seconds(delays[-1], ran_seconds=0.1))
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert next_delay_seconds(60, ran_seconds=61) == 1


async def test_errors_are_logged_and_it_runs_again_until_it_returns(caplog: pytest.LogCaptureFixture) -> None:
    runs: list[float] = []
    slept: list[float] = []

    async def job() -> None:
        runs.append(1)
        if len(runs) < 4:
            raise ValueError(f"run {len(runs)}")

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    with caplog.at_level(logging.ERROR):
        await keep_running(Job("shop.poll", job), sleep=sleep, clock=lambda: 0.0)
    assert (len(runs), slept) == (4, [1, 2, 4])
    assert caplog.messages[0] == "shop.poll failed; running it again in 1 s"
    assert "run 3" in caplog.text


@pytest.fixture
def tunables() -> Tunables:
    return Tunables()


async def test_other_servers_run_jobs_for_as_long_as_the_lifespan(tunables: Tunables) -> None:
    happened: list[str] = []

    async def job() -> None:
        happened.append("began")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            happened.append("ended")

    tunables.add_job(Job("job", job))
    async with tune.running(tunables):
        await asyncio.sleep(0)
        assert happened == ["began"]
    assert happened == ["began", "ended"]
    tunables.runs_jobs = True
    async with tune.running(tunables):
        await asyncio.sleep(0)
    assert happened == ["began", "ended"], "under the runtime it does nothing"


def test_only_an_async_function_without_parameters_can_run_once_per_pod() -> None:
    def blocking() -> None:
        return

    async def needs(what: str) -> None:
        return

    for function in (blocking, needs):
        with pytest.raises(UsageError, match="must be an `async def` without parameters"):
            tune.once_per_pod(function)  # type: ignore[type-var]
