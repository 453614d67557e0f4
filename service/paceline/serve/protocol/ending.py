"""How an HTTP connection ends: in time, after the responses that are due, and so that the client can read why."""

import asyncio
import fcntl
import logging
import struct
from enum import Enum
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from paceline.serve.protocol.crowd import Standing
from paceline.serve.protocol.refusal import Refused, too_slow
from paceline.serve.protocol.transport import Deadline, PatientFlow
from paceline.serve.protocol.turns import TurnsProtocol
from paceline.settings import HttpSettings
from paceline.trusted_peers import plain_client

_UNREAD_BYTES: Final = 1024 * 1024  # of a body that nobody wants, read so that the client gets to the response
_LINGER_SECONDS: Final = 1.0
_STALLED_SECONDS: Final = 5.0  # a response that the client did not read for so long may be cut off to make room
_INT: Final = struct.Struct("i")
_FIONREAD: Final = 0x541B  # ioctl_tty(2)

logger = logging.getLogger("paceline.serve")


class Stage(Enum):
    """How far the newest request has been received."""

    BETWEEN = "no request has begun since the last one ended"
    HEAD = "its head is incomplete"
    BODY = "its body is incomplete"


_BETWEEN, _HEAD, _BODY = Stage  # an attribute of an enum class costs more than a name of the module


class EndingProtocol(TurnsProtocol):
    """Deadlines for what the client sends, refusals in turn, and a gentle close."""

    __slots__ = ("_deadline", "_keep_alive", "_last_word", "_limits", "_over", "_unread_bytes", "stage")

    flow: PatientFlow

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], limits: HttpSettings
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.stage = _BETWEEN
        self._limits = limits
        self._over = False  # nothing more is parsed
        self._last_word: bytes | None = None  # said once the responses before it are out
        self._unread_bytes = _UNREAD_BYTES

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        super().connection_made(transport)
        self.client = plain_client(self.client)
        self.flow = PatientFlow(transport, self._resumed)
        self._keep_alive = Deadline(self.loop, self.timeout_keep_alive_handler)
        self._deadline = Deadline(self.loop, self._overdue)
        self._deadline.set(self._limits.head_timeout_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        self._keep_alive.cancel()
        if self._active is not None and self._active is not self.cycle:
            self._active.disconnected = True  # uvicorn tells the newest request only
            self._active.message_event.set()
        super().connection_lost(exc)

    def bytes_waiting(self) -> bool:
        """Whether the kernel holds bytes of the client that the loop was too late to read."""
        if self.transport.is_closing():
            return False
        # No recv(MSG_PEEK): the event loop does not hand out its socket for reading.
        descriptor = self.transport.get_extra_info("socket").fileno()
        waiting = fcntl.ioctl(descriptor, _FIONREAD, _INT.pack(0))
        return bool(_INT.unpack(waiting)[0])

    def timeout_keep_alive_handler(self) -> None:
        """Closes after the keep-alive time, unless the next request has begun, which has a time limit of its own, or
        lies in the kernel, unread because the loop was late."""
        if self.stage is _BETWEEN and not self.busy and not self.bytes_waiting():
            super().timeout_keep_alive_handler()

    # Room for others

    def standing(self) -> Standing | None:
        """How much this connection deserves its place among the others of the process; None: it is being served."""
        if self.flow.stalled_for(self.loop.time()) > _STALLED_SECONDS:
            return Standing(4, self.flow.stalled_since)
        if self.stage is _BODY:
            return Standing(3, self._deadline.due) if self._deadline.is_set and not self.flow.read_paused else None
        if self.busy:
            return None
        if self.stage is _HEAD:
            return Standing(1, self._deadline.due)
        return Standing(0, self._deadline.due) if self.cycle is None else Standing(2, self._keep_alive.due)

    def drop(self) -> bool:
        """Closes at once. False: bytes have just arrived, and it stays."""
        if self.bytes_waiting():
            return False
        logger.debug("dropped a connection of %s to make room", self.client)
        if self._over or self.flow.write_paused or (self.stage is _BODY and self.cycle.response_started):
            self.transport.abort()
            return True
        if self.stage is not _BETWEEN and not self.pipeline:
            self.transport.write(too_slow("others wait for this place").response(self.server_state.default_headers))
        self.transport.close()
        return True

    # Deadlines

    def await_more(self) -> None:
        """Bounds the time until the rest of the head is there, or the next bytes of the body."""
        if self._over or (self.stage is _BETWEEN and self.busy):
            return
        if self.stage is _BODY:
            self._deadline.set(self._limits.body_timeout_seconds)
        elif not self._deadline.is_set:
            self._deadline.set(self._limits.head_timeout_seconds)

    def _resumed(self) -> None:
        if self._deadline.is_set and not self._over:
            self._deadline.clear()
            self.await_more()

    def _overdue(self) -> None:
        if self.transport.is_closing():
            return
        if self._over:
            self.transport.close()
        elif self.flow.read_paused or self.bytes_waiting():  # it is not the client who is late
            self.await_more()
        elif self.stage is _BODY:
            self.refuse(too_slow("the body did not arrive in time"))
        else:
            self.refuse(too_slow("the head of the request did not arrive in time"))

    # The end

    def refuse(self, refused: Refused) -> None:
        """Takes no more requests, says why once the responses before are out, and closes."""
        logger.debug("refused a request of %s: %s", self.client, refused)
        self._over = True
        self._deadline.clear()
        if self.stage is _BODY and not self._gives_up():
            self.transport.close()
        else:
            self._last_word = refused.response(self.server_state.default_headers)
            self.say_last_word()

    def _gives_up(self) -> bool:
        """Ends the request whose body is refused. False: its response has begun, so that no other can be sent."""
        cycle = self.cycle
        if cycle.response_started:
            return False
        cycle.disconnected = True
        cycle.message_event.set()
        if self._active is cycle:
            self._active = None
        else:
            self.pipeline.popleft()  # the newest
        return True

    def say_last_word(self) -> None:
        """Once nothing else is left to be sent."""
        if self._last_word is None or self.busy or self.transport.is_closing():
            return
        self.transport.write(self._last_word)
        self._last_word = None
        self._linger()

    def close_gently(self) -> None:
        """Closes; reads on for a moment where the client is still sending a body."""
        if self.stage is _BETWEEN or self.transport.is_closing():
            self.transport.close()
        else:
            self._linger()

    def _linger(self) -> None:
        """Says that nothing more comes, and reads on for a moment: closing a socket that has unread bytes resets the
        connection, and the client may lose the response."""
        self._over, self._last_word = True, None
        self._keep_alive.clear()
        self._deadline.set(_LINGER_SECONDS)
        self.flow.holds = False
        self.flow.resume_reading()
        self.transport.write_eof()

    def discard(self, count: int) -> None:
        """Counts bytes that nobody wants: after a few the connection closes."""
        self._unread_bytes -= count
        if self._unread_bytes < 0:
            self.transport.close()

    def expect_body(self) -> None:
        """A request with a body begins: what is discarded is counted anew."""
        self._unread_bytes = _UNREAD_BYTES
