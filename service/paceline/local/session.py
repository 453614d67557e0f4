"""One run of the local platform, from its databases on: starts the programs in order, watches them, stops in order."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from time import monotonic
from typing import Any, Final

from paceline.errors import PacelineError
from paceline.load.openloop import OpenLoop
from paceline.local import children, pod, programs
from paceline.local.children import Child, Program
from paceline.local.demo import Demo
from paceline.local.programs import Addresses
from paceline.local.progress import Progress, parse_decision
from paceline.local.view import View
from paceline.local.workspace import Workspace

READY_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.25
_ASK_SECONDS: Final = 0.5
_WINDOW_SECONDS: Final = 1.0
_DRAIN_SECONDS: Final = 15.0
"""How long responses that are on their way are waited for at the end."""


class Session:
    """Single use: `run()` once, then read `progress`."""

    def __init__(self, workspace: Workspace, addresses: Addresses, demo: Demo | None, seconds: float | None) -> None:
        self._workspace = workspace
        self._addresses = addresses
        self._demo = demo
        self._seconds = seconds
        self._started = monotonic()
        self._interrupted, self._in_a_hurry = asyncio.Event(), asyncio.Event()
        self._signal: signal.Signals | None = None
        self._is_watching = False
        self.progress = Progress()
        self.ended: float = 0.0
        """When the load ended, in the progress's time."""

    async def run(self, view: View) -> signal.Signals | None:
        """Runs until its time is up (None) or until SIGINT or SIGTERM comes (which of them).

        The load stops first and its last requests get their responses; then everything else stops. A second signal does
        not wait for them.

        Raises:
            PacelineError: a program did not start, or ended although it should have gone on.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._interrupt, number)
        platform = asyncio.create_task(self._platform(view))
        interruption = asyncio.create_task(self._interrupted.wait())
        await asyncio.wait({platform, interruption}, return_when=asyncio.FIRST_COMPLETED)
        interruption.cancel()
        if not self._is_watching:
            platform.cancel()
        with suppress(asyncio.CancelledError):
            await platform
        return self._signal

    def _interrupt(self, number: signal.Signals) -> None:
        if self._interrupted.is_set():
            self._in_a_hurry.set()
        self._signal = self._signal or number
        self._interrupted.set()

    async def _platform(self, view: View) -> None:
        async with AsyncExitStack() as stack:
            settings = self._demo.settings if self._demo else {}
            program = programs.service(self._workspace, self._addresses, settings)
            service = await stack.enter_async_context(children.running(program))
            program = programs.upstream(self._workspace, self._addresses)
            upstream = await stack.enter_async_context(children.running(program))
            await _while_running(self._prepare(), service, upstream)
            self._workspace.write_target(self._addresses.management_port)
            program = programs.operator(self._workspace, self._addresses, self._take_line)
            operator = await stack.enter_async_context(children.running(program))
            mailing = [await stack.enter_async_context(children.running(program)) for program in self._mailing()]
            self._started = monotonic()
            await _while_running(self._watch(view), service, upstream, operator, *mailing)

    def _mailing(self) -> tuple[Program, ...]:
        """Nobody signs up at a demonstration, and it needs the cores for what it shows."""
        if self._demo is not None:
            return ()
        return programs.mails(self._workspace, self._addresses), programs.jobs(self._workspace, self._addresses)

    async def _prepare(self) -> None:
        """Brings the database up to date while the service starts: it needs the tables only for requests."""
        await children.run_to_end(programs.migration(self._workspace, self._addresses))
        try:
            async with asyncio.timeout(READY_SECONDS):
                await pod.wait_until_ready(self._addresses.management_port)
        except TimeoutError as error:
            log = self._workspace.log("service")
            raise PacelineError(f"the service was not ready after {READY_SECONDS:.0f} s; its log is {log}") from error

    async def _watch(self, view: View) -> None:
        load = OpenLoop(self._demo.plan(self._addresses.port)) if self._demo else None
        watchers = [asyncio.create_task(self._ask()), asyncio.create_task(self._show(view))]
        self._is_watching = True
        try:
            if load is None:
                await self._until_the_end()
            else:
                watchers.append(asyncio.create_task(self._sample(load)))
                await self._drive(load)
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.wait(watchers)
            self.ended = self._now()
            if load is not None:
                self.progress.sampled(self.ended, load.window(), 0)
            view.update(self.progress, self.ended)
            view.close()

    async def _until_the_end(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await self._interrupted.wait()

    async def _drive(self, load: OpenLoop) -> None:
        """Loads until the end, then waits for the responses that are on their way: a service that stops first would
        seem to lose them."""
        running = asyncio.create_task(load.run())
        hurrying = asyncio.create_task(self._in_a_hurry.wait())
        try:
            await self._until_the_end()
            load.stop()
            await asyncio.wait({running, hurrying}, timeout=_DRAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            running.cancel()
            hurrying.cancel()
            await asyncio.wait({running, hurrying}, timeout=_LOOK_SECONDS)

    async def _ask(self) -> None:
        while True:
            self.progress.reported(await pod.ask(self._addresses.management_port))
            await asyncio.sleep(_ASK_SECONDS)

    async def _show(self, view: View) -> None:
        while True:
            view.update(self.progress, self._now())
            await asyncio.sleep(_LOOK_SECONDS)

    async def _sample(self, load: OpenLoop) -> None:
        while True:
            await asyncio.sleep(_WINDOW_SECONDS)
            self.progress.sampled(self._now(), load.window(), load.outstanding)

    def _take_line(self, line: bytes) -> None:
        decision = parse_decision(line)
        if decision is not None:
            self.progress.decided(self._now(), decision)

    def _now(self) -> float:
        return monotonic() - self._started


async def _while_running(work: Coroutine[Any, Any, None], *programs_needed: Child) -> None:
    """Does the work, as long as the programs run.

    Raises:
        PacelineError: one of them ended first.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task, *(child.ended for child in programs_needed)}, return_when=asyncio.FIRST_COMPLETED)
        for child in programs_needed:
            if child.ended.done():
                raise child.failure()
        await task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
