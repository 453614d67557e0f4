"""Cancelling tasks so that they do end: where a library swallows a cancellation, waiting for the task never ends."""

import asyncio
import logging
from typing import Any, Final

END_SECONDS: Final = 2.0
_AGAIN_SECONDS: Final = 0.25

logger = logging.getLogger(__name__)


async def end(*tasks: asyncio.Task[Any], seconds: float = END_SECONDS) -> None:
    """Cancels tasks and waits until they have ended; cancels again one that goes on, and after `seconds` leaves it be.

    What a task raised is not raised here.
    """
    left = {task for task in tasks if not task.done()}
    deadline = asyncio.get_running_loop().time() + seconds
    while left:
        for task in left:
            task.cancel()
        wait_seconds = deadline - asyncio.get_running_loop().time()
        if wait_seconds <= 0:
            logger.warning("%s went on for %g s after it was cancelled", ", ".join(map(_name, left)), seconds)
            return
        _, left = await asyncio.wait(left, timeout=min(wait_seconds, _AGAIN_SECONDS))


def _name(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", task.get_name())
