"""Coroutines that run as long as the application does: a scheduler, an outbox poller. Knows no pod and no lock."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

_FIRST_DELAY_SECONDS: Final = 1.0
_LONGEST_DELAY_SECONDS: Final = 60.0

logger = logging.getLogger("paceline.jobs")


@dataclass(frozen=True, slots=True)
class Job:
    """A function that `tune.once_per_pod` marked; its name is module and qualified name."""

    name: str
    function: Callable[[], Coroutine[Any, Any, None]]


async def keep_running(
    job: Job,
    *,
    sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep,
    clock: Callable[[], float] = monotonic,
) -> None:
    """Runs it until it returns; after an error again, later each time. What goes wrong is logged, never raised.

    Raises:
        asyncio.CancelledError: this task was cancelled, whatever the job made of that.
    """
    delay = 0.0
    while True:
        began = clock()
        try:
            return await job.function()
        except Exception as error:
            if is_cancelled():
                logger.exception("%s failed while it was stopped", job.name)
                raise asyncio.CancelledError from error
            delay = next_delay_seconds(delay, clock() - began)
            logger.exception("%s failed; running it again in %g s", job.name, delay)
        await sleep(delay)


def is_cancelled() -> bool:
    """Whether somebody wants the current task to end. Libraries leak cancellations that nobody asked for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def next_delay_seconds(former: float, ran_seconds: float) -> float:
    """1, 2, 4 ... 60 seconds; from 1 again after a run that was longer than the longest delay."""
    if not former or ran_seconds > _LONGEST_DELAY_SECONDS:
        return _FIRST_DELAY_SECONDS
    return min(2 * former, _LONGEST_DELAY_SECONDS)


@asynccontextmanager
async def running(jobs: Iterable[Job]) -> AsyncIterator[None]:
    """Runs them beside the body; cancelled and awaited at its end."""
    tasks = [asyncio.create_task(keep_running(job), name=job.name) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
