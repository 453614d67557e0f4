"""A deadline that is cheap to move: the timer stays where it is and looks again when it fires."""

import asyncio
from collections.abc import Callable


class Deadline:
    """One at a time; belongs to one event loop."""

    __slots__ = ("_due", "_loop", "_overdue", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, overdue: Callable[[], None]) -> None:
        self._loop = loop
        self._overdue = overdue
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        return self._due > 0

    @property
    def due(self) -> float:
        """Time of the loop; 0 if none is set."""
        return self._due

    def set(self, seconds: float) -> None:
        """From now on; replaces an earlier one."""
        self._due = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._due:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._due, self._fire)

    def clear(self) -> None:
        """Costs nothing: the timer, if there is one, finds nothing to do."""
        self._due = 0.0

    def cancel(self) -> None:
        """Clears and lets go of the timer."""
        self._due = 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        if not self.is_set:
            return
        if self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._fire)
        else:
            self._due = 0.0
            self._overdue()
