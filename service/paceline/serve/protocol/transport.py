"""Reading that waits its turn, and a close that lets the client read why."""

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
