"""What stands between a connection and its transport: when it reads, how it closes, how long it waits."""

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl


class PatientFlow(FlowControl):
    """uvicorn's flow control. Reading goes on only when nothing that was read before is held back."""

    def __init__(self, transport: asyncio.Transport, resumed: Callable[[], None]) -> None:
        """`resumed` is called whenever the client may send again."""
        super().__init__(transport)
        self.holds = False
        self.stalled_since = 0.0
        self._resumed = resumed

    def pause_writing(self) -> None:
        self.stalled_since = asyncio.get_running_loop().time()
        super().pause_writing()

    def stalled_for(self, now: float) -> float:
        """Seconds since the client read anything of a long response; 0 where it reads."""
        return now - self.stalled_since if self.write_paused else 0.0

    def resume_reading(self) -> None:
        if self.read_paused and not self.holds:
            super().resume_reading()
            self._resumed()


class ClosesGently:
    """What a request with a body is given as its transport: `close` is the connection's own.

    Closing a socket that has unread bytes makes the kernel reset the connection, and the client may lose the response.
    """

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


class Deadline:
    """One at a time, cheap to move: the timer stays where it is and looks again when it fires."""

    __slots__ = ("_fires_at", "_loop", "_overdue", "_timer", "due")

    def __init__(self, loop: asyncio.AbstractEventLoop, overdue: Callable[[], None]) -> None:
        self._loop = loop
        self._overdue = overdue
        self.due = 0.0
        """Time of the loop; 0 if none is set."""
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = 0.0

    @property
    def is_set(self) -> bool:
        return self.due > 0

    def set(self, seconds: float) -> None:
        """From now on; replaces an earlier one."""
        self.due = self._loop.time() + seconds
        if self._timer is None:
            self._start()
        elif self._fires_at > self.due:
            self._timer.cancel()
            self._start()

    def clear(self) -> None:
        """Costs nothing: the timer, if there is one, finds nothing to do."""
        self.due = 0.0

    def cancel(self) -> None:
        """Clears and lets go of the timer."""
        self.due = 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self) -> None:
        self._fires_at = self.due
        self._timer = self._loop.call_at(self.due, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if not self.is_set:
            return
        if self._loop.time() < self.due:
            self._start()
        else:
            self.due = 0.0
            self._overdue()
