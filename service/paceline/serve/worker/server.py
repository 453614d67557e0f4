"""uvicorn's server, taking and letting go of connections the way that live changes of the worker count need."""

import asyncio
import logging
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.server import Server

from paceline.serve import deadlines
from paceline.serve.worker.acceptor import Acceptor
from paceline.serve.worker.balance import Share
from paceline.serve.worker.drain import drain
from paceline.serve.worker.protocol import TunedProtocol
from paceline.settings import HttpSettings

logger = logging.getLogger("paceline.serve")

_LEAST_SECONDS: Final = 0.1


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
    """Serves on the sockets it is given. Signals are the caller's: `stop` drains, `stop_now` does not."""

    def __init__(
        self,
        config: Config,
        stages: Stages,
        share: Share,
        limits: HttpSettings,
        *,
        keepalive_seconds: float,
        graceful_timeout_seconds: float,
    ) -> None:
        super().__init__(config)
        self._share = share
        self._stages = stages
        self._limits = limits
        self._idle_seconds = deadlines.idle_drain_seconds(keepalive_seconds)
        self._busy_seconds = graceful_timeout_seconds

    def stop(self) -> None:
        self.should_exit = True

    def stop_now(self) -> None:
        self.should_exit = self.force_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        await self._stages.before_accepting(lambda: self.should_exit)
        self.servers = []
        connections = self.server_state.connections
        self._acceptor = Acceptor(sockets or [], self._protocol, share=self._share, held=lambda: len(connections))
        self.started = True
        if not self.should_exit:
            self._acceptor.start()
            self._stages.accepting()

    async def on_tick(self, counter: int) -> bool:
        self._acceptor.tell()  # connections have ended since it last took one
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stages.draining()
        await self._acceptor.stop(last=self._stages.pod_stops())
        left = await drain(
            self.server_state,
            idle_seconds=self._idle_seconds,
            busy_seconds=max(self._busy_seconds, self._idle_seconds),
            hurry=lambda: self.force_exit,
        )
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
