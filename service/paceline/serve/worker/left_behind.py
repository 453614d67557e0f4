"""What still runs on the loop of a worker whose server has stopped: what ignores its cancellation holds nobody up."""

import asyncio
from typing import Any, Final

_ROUNDS: Final = 5
"""What ends may start something else, and that again: in a `finally` or a done callback. Some do so for ever."""
_LATE_SECONDS: Final = 0.1
"""For what was started meanwhile to clean up, where the others have taken all the time."""


async def end_others(seconds: float) -> list[str]:
    """Cancels all tasks of this loop but the current one, and waits for them to end.

    What they start in their cleanup is cancelled as soon as they have ended, or the time is up: they may wait for it.

    Returns:
        The names of those that go on. Nobody waits for them any more: `asyncio.run` would, for ever.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    cancelled: set[asyncio.Task[Any]] = set()
    for _ in range(_ROUNDS):
        others = _others()
        if others <= cancelled:
            break
        for task in others - cancelled:
            task.cancel()
        cancelled |= others
        await asyncio.wait(others, timeout=max(deadline - clock(), _LATE_SECONDS))
    left = _others()
    for task in left:
        asyncio._unregister_task(task)
        task._log_destroy_pending = False  # type: ignore[attr-defined] # what is said of it is the caller's word
    return sorted(map(_name, left))


def _others() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


def _name(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    return getattr(coroutine, "__qualname__", None) or task.get_name()
