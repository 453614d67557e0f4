"""A worker's part in what runs once a pod: of all workers that wait for a job's lock, the one that has it runs the job.

The lock is a POSIX one on a file in the run folder. The kernel gives it back when the process ends, however it ends,
and, unlike one of flock(2), children that the worker forks do not inherit it.
"""

import asyncio
import fcntl
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from paceline.resources.jobs import Job, keep_running
from paceline.resources.registry import Tunables
from paceline.serve.rundir import RunDir
from paceline.serve.worker.supervised import KeepRunning

_LOOK_SECONDS: Final = 0.2

logger = logging.getLogger("paceline.serve")


class PodJobs:
    """One a worker; belongs to its event loop."""

    def __init__(self, tunables: Tunables, run: RunDir, supervise: KeepRunning) -> None:
        """`supervise` runs a task under a name and starts it again where it fails: a lock may be out of reach."""
        self._tunables = tunables
        self._run = run
        self._supervise = supervise
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Waits for each job's turn, and runs it then."""
        self._tasks = [
            asyncio.create_task(
                self._supervise(job.name, partial(_run_alone, job, self._run.once(job.name))), name=job.name
            )
            for job in self._tunables.jobs
        ]

    def cancel(self) -> None:
        """Another worker takes each job over as soon as it has ended here."""
        for task in self._tasks:
            task.cancel()

    async def ended(self, seconds: float) -> None:
        """Returns once they have ended, or the time is up; a job that will not end keeps its lock."""
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=seconds)
            for task in left:
                logger.error("%s did not end within %g s of being cancelled; left behind", task.get_name(), seconds)


async def _run_alone(job: Job, path: Path) -> None:
    async with _lock(path):
        logger.info("running %s for the pod", job.name)
        await keep_running(job)
        logger.info("%s has returned; it is not run again while this worker lives", job.name)
        await asyncio.Event().wait()


@asynccontextmanager
async def _lock(path: Path) -> AsyncIterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _taken(descriptor):  # noqa: ASYNC110 - a lock sets no event
            await asyncio.sleep(_LOOK_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # BlockingIOError or PermissionError: another has it
        return False
    return True
