"""Runs programs for as long as a context lasts, and leaves none behind. Knows nothing of what they do."""

import asyncio
import os
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from paceline import lifeline
from paceline.errors import PacelineError
from paceline.local.private_files import open_private
from paceline.local.server_process import last_line

_LOOK_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Program:
    """What to start. With `on_line`, each line of its standard output is handed over; the log takes the rest."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    stop_seconds: float
    """How long it may take to stop before it is killed."""
    on_line: Callable[[bytes], None] | None = None


@dataclass(frozen=True, slots=True)
class Child:
    """A program that runs. `ended` gives its exit status."""

    program: Program
    ended: asyncio.Task[int]

    def failure(self) -> PacelineError:
        """What to say of a program that ended although it should have gone on."""
        status, program = self.ended.result(), self.program
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        return PacelineError(f"{program.name} ended ({how}): {last_line(program.log)}; its log is {program.log}")


@asynccontextmanager
async def running(program: Program) -> AsyncIterator[Child]:
    """Starts a program; at the end asks it to stop, and kills it if it does not."""
    with open_private(program.log) as log:
        process = await asyncio.create_subprocess_exec(
            *program.command,
            stdin=DEVNULL,
            stdout=log if program.on_line is None else PIPE,
            stderr=STDOUT if program.on_line is None else log,
            env=program.environment,
            # Ctrl-C in the terminal must reach us alone: we stop everything in order. Should we be killed, the kernel
            # stops it.
            start_new_session=True,
            preexec_fn=partial(lifeline.die_with_parent, os.getpid(), signal.SIGTERM),
        )
    ended = asyncio.create_task(_follow(process, program.on_line))
    try:
        yield Child(program, ended)
    finally:
        await _stop(process, ended, program.stop_seconds)


async def run_to_end(program: Program) -> None:
    """Runs a program that ends by itself.

    Raises:
        PacelineError: it failed, with the last line of its log.
    """
    async with running(program) as child:
        if await asyncio.shield(child.ended) != 0:
            raise child.failure()


async def _follow(process: Process, on_line: Callable[[bytes], None] | None) -> int:
    if process.stdout is not None and on_line is not None:
        async for line in process.stdout:
            on_line(line)
    return await process.wait()


async def _stop(process: Process, ended: asyncio.Task[int], seconds: float) -> None:
    _signal(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(seconds):
            await asyncio.shield(ended)
    except TimeoutError:
        _signal(process, signal.SIGKILL)
        await ended


def _signal(process: Process, number: signal.Signals) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.send_signal(number)


def end_leftovers(seconds: float = 5.0) -> None:
    """Waits for what our programs left behind when they were killed themselves, and kills it after `seconds`.

    Needs `lifeline.adopt_orphans()` before. Blocking.
    """
    deadline = time.monotonic() + seconds
    while left := lifeline.children():
        for pid in left:
            with suppress(ProcessLookupError, ChildProcessError):
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)
        time.sleep(_LOOK_SECONDS)
