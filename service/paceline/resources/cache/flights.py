"""One fetch at a time per key: a task that all who need the value wait for."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """The tasks by key, each from its start to its end; those that a closed loop left behind do not count."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[T]] = {}

    def current(self, key: str) -> asyncio.Task[T] | None:
        """The task that is under way on this loop."""
        task = self._tasks.get(key)
        usable = task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop()
        return task if usable else None

    def start(self, key: str, work: Coroutine[None, None, T], context: Context | None = None) -> asyncio.Task[T]:
        """Starts a task in place of any other; without a context it sees the context variables of its caller."""
        task = self._tasks[key] = asyncio.get_running_loop().create_task(work, context=context)
        task.add_done_callback(lambda done: self._landed(key, done))
        return task

    def forget(self, key: str | None) -> None:
        """The next caller starts a task; those who wait already get the value of this one. None: for every key."""
        if key is None:
            self._tasks.clear()
        else:
            self._tasks.pop(key, None)

    async def wait(self, key: str, work: Callable[[], Coroutine[None, None, T]], bound: Callable[[], bool]) -> T:
        """Waits for the current task, or starts one. Shielded: who is cancelled does not take the value from others.

        Args:
            bound: whether the work uses what ends with its caller: then it is cancelled with that caller, and those
                who wait too start over with their own.
        """
        while True:
            others = self.current(key)
            task = self.start(key, work()) if others is None else others
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                caller = asyncio.current_task()
                left = caller is not None and caller.cancelling() > 0
                if left and others is None and bound():
                    task.cancel()
                    await asyncio.wait([task])
                if left or others is None or not task.cancelled():
                    raise

    def _landed(self, key: str, task: asyncio.Task[T]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled():
            task.exception()  # read here too: those who waited for it may be gone
