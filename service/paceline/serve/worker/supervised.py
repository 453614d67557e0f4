"""The background tasks of a worker: one that fails is logged with its cause, named in the report, and started again."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from paceline.resources.jobs import is_cancelled, next_delay_seconds

_MAX_CHARACTERS: Final = 200
_CREDENTIALS: Final = re.compile(r"://[^/@\s]*@")
_SOUND_SECONDS: Final = 5.0

Run: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
KeepRunning: TypeAlias = Callable[[str, Run], Coroutine[Any, Any, None]]

logger = logging.getLogger("paceline.serve")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SupervisedTasks:
    """Tasks that are to run as long as the worker does. Not thread-safe: belongs to the event loop."""

    def __init__(
        self,
        *,
        sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._sleep = sleep
        self._now = now
        self._degraded: dict[str, dict[str, str]] = {}

    def degraded(self) -> list[dict[str, str]]:
        """Tasks that fail, `{"task", "error", "since"}`: each from its failure until it has run well for a while."""
        return list(self._degraded.values())

    @asynccontextmanager
    async def beside(self, tasks: Mapping[str, Run]) -> AsyncIterator[None]:
        """Runs the named tasks beside the body, until it ends."""
        running = [asyncio.create_task(self.keep_running(name, run), name=name) for name, run in tasks.items()]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)

    async def keep_running(self, name: str, run: Run) -> None:
        """Starts it again 1, 2, 4 ... 60 seconds after it failed or ended; returns only when cancelled."""
        loop = asyncio.get_running_loop()
        delay = 0.0
        while True:
            began = loop.time()
            sound = loop.call_later(max(_SOUND_SECONDS, delay), self._degraded.pop, name, None)
            try:
                await run()
                error: Exception = RuntimeError("it ended by itself")
            except asyncio.CancelledError as raised:
                if is_cancelled():
                    raise
                error = RuntimeError("it was cancelled from within")
                error.__cause__ = raised
            except Exception as raised:
                if is_cancelled():
                    raise asyncio.CancelledError from raised
                error = raised
            finally:
                sound.cancel()
            delay = next_delay_seconds(delay, loop.time() - began)
            self._note(name, error, delay)
            await self._sleep(delay)

    def _note(self, name: str, error: Exception, delay: float) -> None:
        logger.error(
            "the worker's task %r failed (%s: %s); starting it again in %g s",
            name,
            type(error).__name__,
            error,
            delay,
            exc_info=error,
        )
        since = self._degraded.get(name, {}).get("since", self._now().isoformat())
        self._degraded[name] = {"task": name, "error": described(error), "since": since}


def described(error: Exception) -> str:
    """Type and message, at most 200 characters, without the credentials of URLs: `/state` shows it."""
    return _CREDENTIALS.sub("://***@", f"{type(error).__name__}: {error}")[:_MAX_CHARACTERS]
