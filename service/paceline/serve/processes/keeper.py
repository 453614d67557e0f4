"""The agent's part: starts the pool's process once a worker asks for it, and again should it end.

That of an agent that was killed serves on; a second one would double the limits.
"""

import asyncio
import fcntl
import logging
import os
import sys
from contextlib import suppress
from typing import Final

from paceline.serve.rundir import RunDir

_POLL_SECONDS: Final = 0.1
_RETRY_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 3.0

logger = logging.getLogger("paceline.serve")


async def keep_process_pool(run: RunDir, calls: int | None, stop: asyncio.Event) -> None:
    """Until `stop`; then ends it. By then workers are gone: nothing runs in it.

    Args:
        calls: the pool's end of `handover.make`; None in an agent started by hand, whose pod has no such pool.
    """
    while calls is not None and not stop.is_set():
        if run.processes_wanted.exists() and not _is_running(run):
            await _run_once(run, calls, stop)
        await asyncio.sleep(_POLL_SECONDS)


def _is_running(run: RunDir) -> bool:
    with run.processes_lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


async def _run_once(run: RunDir, calls: int, stop: asyncio.Event) -> None:
    command = (sys.executable, "-P", "-m", "paceline.serve.processes", str(os.getpid()), str(run.path), str(calls))
    process = await asyncio.create_subprocess_exec(*command, pass_fds=[calls])
    ended, stopped = asyncio.create_task(process.wait()), asyncio.create_task(stop.wait())
    await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if ended.done():
        logger.error("the process pool ended by itself (status %s); starting it again", process.returncode)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _RETRY_SECONDS)
    else:
        process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ended), _STOP_SECONDS)
        if process.returncode is None:
            process.kill()
            await ended
    stopped.cancel()
