"""uvicorn's server, taking and letting go of connections the way that live changes of the worker count need."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.server import Server

from paceline.serve import deadlines
from paceline.serve.protocol.acceptor import Acceptor
from paceline.serve.protocol.crowd import crowd_of
from paceline.serve.worker.balance import Share
from paceline.serve.worker.drain import drain, expect_ends
from paceline.serve.worker.protocol import TunedProtocol
from paceline.serve.worker.unfinished import Patience
from paceline.settings import HttpSettings

logger = logging.getLogger("paceline.serve")

_LEAST_SECONDS: Final = 0.1
_TICK_SECONDS: Final = 0.1
_DAY_OF_TICKS: Final = 864_000


@dataclass(frozen=True, slots=True)
class Stages:
    """What the worker does between the stages of the server's life."""

    before_accepting: Callable[[Callable[[], bool]], Awaitable[None]]
    """Awaited after the application's start-up; gets a function that tells whether the server is to stop by now."""
    accepting: Callable[[], None]
    draining: Callable[[], None]
    requests_done: Callable[[float], Awaitable[None]]
    """Awaited before the application's shutdown; gets the seconds that it may take."""
    pod_stops: Callable[[], bool]
    """Whether the whole pod stops, so that nobody else will take what waits in the listening queue."""


class TunedServer(Server):
    """Serves on the sockets it is given. `follow_signals` makes it drain on SIGTERM and SIGINT, `stop_now` does not."""

    def __init__(
        self,
        config: Config,
        stages: Stages,
        share: Share,
        limits: HttpSettings,
        *,
        patience: Patience,
        outliving: Collection[int] = (),
    ) -> None:
        """`outliving`: positions of sockets that others go on using when the pod is gone."""
        self._told_to_stop = asyncio.Event()
        super().__init__(config)
        self._share = share
        self._stages = stages
        self._limits = limits
        self._patience = patience
        self._outliving = outliving

    @property
    def should_exit(self) -> bool:
        """uvicorn's flag, which libraries look at. Once it is set, the drain begins before they can have seen it."""
        return self._stopping

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._stopping = value
        if value:  # mostly by a signal's handler, in the midst of anything
            asyncio.get_event_loop().call_soon_threadsafe(self._begin_to_stop)

    def _begin_to_stop(self) -> None:
        expect_ends(self.server_state, self._patience)
        self._told_to_stop.set()

    def follow_signals(self) -> None:
        """Drains on SIGTERM and SIGINT.

        By uvicorn's own way: libraries with endless streams look for the server behind the handler of SIGTERM, or
        replace `Server.handle_exit`; an application that sets a handler of its own calls the one that it found.
        """
        signal.signal(signal.SIGTERM, self.handle_exit)
        # A second Ctrl-C, too: uvicorn would lose the requests in progress.
        signal.signal(signal.SIGINT, lambda _, frame: self.handle_exit(signal.SIGTERM, frame))

    def stop_now(self) -> None:
        self.should_exit = self.force_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        await self._stages.before_accepting(lambda: self.should_exit)
        self.servers = []
        crowd = crowd_of(self.server_state.connections, self._limits.max_connections)
        self._acceptor = Acceptor(
            sockets or [], self._protocol, share=self._share, crowd=crowd, outliving=self._outliving
        )
        self.started = True
        if not self.should_exit:
            self._acceptor.start()
            self._stages.accepting()

    async def main_loop(self) -> None:
        """uvicorn's, which ends at once when it is told to."""
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % _DAY_OF_TICKS
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told_to_stop.wait(), _TICK_SECONDS)

    async def on_tick(self, counter: int) -> bool:
        self._acceptor.tell()  # connections have ended since it last took one
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stages.draining()
        await self._acceptor.stop(last=self._stages.pod_stops())
        left = await drain(self.server_state, self._patience, hurry=lambda: self.force_exit)
        if self.force_exit:
            left = 0.0
        began = monotonic()
        await self._stages.requests_done(max(left, _LEAST_SECONDS))
        left -= monotonic() - began
        # uvicorn takes it from here: it cuts off what is left, waits for background tasks, ends the lifespan.
        tasks_seconds = max(left, _LEAST_SECONDS)
        self.config.timeout_graceful_shutdown = tasks_seconds  # type: ignore[assignment] # any number does
        try:
            async with asyncio.timeout(tasks_seconds + deadlines.LIFESPAN_SHUTDOWN_SECONDS):
                await super().shutdown()
        except TimeoutError:
            logger.error(
                "the application did not shut down within %g s; left behind", deadlines.LIFESPAN_SHUTDOWN_SECONDS
            )

    def _protocol(self) -> TunedProtocol:
        return TunedProtocol(self.config, self.server_state, self.lifespan.state, self._limits)
