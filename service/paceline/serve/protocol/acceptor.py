"""Takes connections from the listening sockets that all workers share, one for each time the loop wakes up.

An event loop that accepts until the queue is empty leaves one worker with most connections: of 64 opened at once it
held up to 64. One accept for each wake-up lets the others have their turn; on a busy machine that alone still left one
of four workers with up to 45, so a worker that is ahead also waits a moment.

Whatever goes wrong with an accept, the next is tried after a pause: an error neither spins nor leaves a worker deaf.
"""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from paceline.serve.protocol.crowd import Crowd

_NO_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE})
_PAUSE_SECONDS: Final = 0.1
_SILENCE_SECONDS: Final = 10.0  # between two log lines about accepts that fail
_HANDSHAKE_SECONDS: Final = 0.2  # a round trip: a client that was promised a connection has it by then
_COURTESY_SECONDS: Final = 0.002  # short, since the worker that is behind may be stuck

logger = logging.getLogger("paceline.serve")


class Share(Protocol):
    """Who else takes connections from the same sockets."""

    def hold(self, connections: int) -> None:
        """Tells the others how many connections this process holds."""

    def leave(self) -> None:
        """Tells the others that this process takes no more."""

    def is_ahead(self, connections: int) -> bool:
        """Whether another process should take the next connection."""


class Alone:
    """The share of a process that has its sockets for itself."""

    def hold(self, connections: int) -> None:
        pass

    def leave(self) -> None:
        pass

    def is_ahead(self, connections: int) -> bool:
        return False


class Acceptor:
    """Accepts from `start` until `stop`; belongs to one event loop."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        protocol: Callable[[], asyncio.Protocol],
        *,
        share: Share,
        crowd: Crowd,
        outliving: Collection[int] = (),
    ) -> None:
        """
        Args:
            crowd: the connections that this process holds.
            outliving: which of the sockets, by position, others go on using: they must not be made deaf.
        """
        self._sockets = sockets
        self._protocol = protocol
        self._share = share
        self._crowd = crowd
        self._outliving = outliving
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._silent_until = 0.0

    def start(self) -> None:
        self.tell()
        for listener in self._sockets:
            listener.setblocking(False)
            self._listen(listener)

    def tell(self) -> int:
        """Tells the other workers how many connections this one holds."""
        held = len(self._crowd) + len(self._connecting)
        if not self._stopped:
            self._share.hold(held)
        return held

    async def stop(self, *, last: bool) -> None:
        """Accepts no more, closes this process's copies of the sockets, waits for connections half taken.

        Args:
            last: nobody takes connections after this worker and its siblings: the pod stops. Then what is on its way
                is still taken, since connections that wait when the last copy closes are reset.
        """
        if last:
            from paceline.serve.protocol.listening import refuse_connections  # ctypes, which the agent never needs

            for position, listener in enumerate(self._sockets):
                if position not in self._outliving:
                    refuse_connections(listener)
            await asyncio.sleep(_HANDSHAKE_SECONDS)
        self._stopped = True
        self._share.leave()
        for listener in self._sockets:
            self._loop.remove_reader(listener.fileno())
            while last and self._accept(listener):
                pass
            listener.close()
        if self._connecting:
            await asyncio.wait(self._connecting)

    def _listen(self, listener: socket.socket) -> None:
        if not self._stopped:
            self._loop.add_reader(listener.fileno(), self._offered, listener)

    def _offered(self, listener: socket.socket) -> None:
        """A connection waits. It is ours unless another worker should have it and takes it within a moment."""
        held = self.tell()
        if not self._crowd.has_room_for(len(self._connecting)):
            self._pause(listener, _PAUSE_SECONDS)
        elif self._share.is_ahead(held):
            self._loop.remove_reader(listener.fileno())
            self._loop.call_later(_COURTESY_SECONDS, self._take_leftover, listener)
        else:
            self._accept(listener)

    def _take_leftover(self, listener: socket.socket) -> None:
        if not self._stopped:
            self._listen(listener)
            self._accept(listener)

    def _pause(self, listener: socket.socket, seconds: float) -> None:
        if not self._stopped:
            self._loop.remove_reader(listener.fileno())
            self._loop.call_later(seconds, self._listen, listener)

    def _accept(self, listener: socket.socket) -> bool:
        """Takes one connection; False if there was none (another worker was faster)."""
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionAbortedError:
            return True
        except OSError as error:
            self._failed(listener, error)
            return False
        connection.setblocking(False)
        task = self._loop.create_task(self._connect(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        self.tell()
        return True

    def _failed(self, listener: socket.socket, error: OSError) -> None:
        """Lets the loop do something else for a while: the kernel would offer the same connection again at once."""
        now = self._loop.time()
        if now >= self._silent_until:
            self._silent_until = now + _SILENCE_SECONDS
            reason = os.strerror(error.errno) if error.errno else error
            logger.error("cannot accept connections: %s; trying again every %g s", reason, _PAUSE_SECONDS)
        if error.errno in _NO_DESCRIPTORS:
            self._crowd.make_room()
        self._pause(listener, _PAUSE_SECONDS)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # the client may be gone by now
            connection.close()
        except Exception:
            connection.close()
            logger.exception("a connection that was accepted could not be served")
