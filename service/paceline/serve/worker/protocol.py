"""HTTP/1.1 connections that never close on top of a request: uvicorn's protocol, but it looks before it closes."""

import fcntl
import struct
import termios
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_INT: Final = struct.Struct("i")


class TunedProtocol(HttpToolsProtocol):
    """One client connection."""

    _receiving = False  # a request has begun to arrive, its headers are not complete

    def on_message_begin(self) -> None:
        self._receiving = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._receiving = False
        super().on_headers_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Closes after the keep-alive time, unless a request lies in the kernel, unread because the loop was late."""
        if not self._bytes_waiting():
            super().timeout_keep_alive_handler()

    def announce_close(self) -> None:
        """Makes the answer that is being prepared the last one of this connection, and tells the client so.

        An answer whose headers are out already cannot say so any more: then it is the next answer.
        """
        if self.cycle is not None and not self.cycle.response_started:
            # The newest request: those pipelined before it are answered first.
            self.cycle.keep_alive = False

    def close_if_idle(self) -> None:
        """Closes unless a request is being answered, has arrived in part, or lies unread in the kernel."""
        answered = self.cycle is None or self.cycle.response_complete
        if answered and not self._receiving and not self._bytes_waiting():
            self.transport.close()

    def _bytes_waiting(self) -> bool:
        if self.transport.is_closing():
            return False
        # No recv(MSG_PEEK): the event loop does not hand out its socket for reading.
        descriptor = self.transport.get_extra_info("socket").fileno()
        answer = fcntl.ioctl(descriptor, termios.FIONREAD, _INT.pack(0))
        return bool(_INT.unpack(answer)[0])
