"""Takes connections from the listening sockets that all workers share, one for each time the loop wakes up.

An event loop that accepts until the queue is empty leaves one worker with most connections: of 64 opened at once it
held up to 64. One accept for each wake-up lets the others have their turn; on a busy machine that alone still left one
of four workers with up to 45, so a worker that is ahead also waits a moment.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from paceline.serve.worker.balance import Share
from paceline.serve.worker.listening import refuse_connections

_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_SECONDS: Final = 1.0
_HANDSHAKE_SECONDS: Final = 0.2  # a round trip: a client that was promised a connection has it by then
_COURTESY_SECONDS: Final = 0.002  # short, since the worker that is behind may be stuck

logger = logging.getLogger("paceline.serve")


class Acceptor:
    """Accepts from `start` until `stop`; belongs to one event loop."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        protocol: Callable[[], asyncio.Protocol],
        *,
        share: Share,
        held: Callable[[], int],
    ) -> None:
        """`held` tells how many connections this worker holds."""
        self._sockets = sockets
        self._protocol = protocol
        self._share = share
        self._held = held
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        self._stopped = False

    def start(self) -> None:
        self.tell()
        for listener in self._sockets:
            listener.setblocking(False)
            self._listen(listener)

    def tell(self) -> int:
        """Tells the other workers how many connections this one holds."""
        held = self._held() + len(self._connecting)
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
            for listener in self._sockets:
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
        if self._share.is_ahead(self.tell()):
            self._loop.remove_reader(listener.fileno())
            self._loop.call_later(_COURTESY_SECONDS, self._take_leftover, listener)
        else:
            self._accept(listener)

    def _take_leftover(self, listener: socket.socket) -> None:
        if not self._stopped:
            self._accept(listener)
            self._listen(listener)

    def _accept(self, listener: socket.socket) -> bool:
        """Takes one connection; False if there was none (another worker was faster)."""
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionAbortedError:
            return True
        except OSError as error:
            if error.errno not in _OUT_OF_RESOURCES:
                raise
            logger.error("cannot accept: %s; trying again in %g s", error.strerror, _PAUSE_SECONDS)
            self._loop.remove_reader(listener.fileno())
            self._loop.call_later(_PAUSE_SECONDS, self._listen, listener)
            return False
        connection.setblocking(False)
        task = self._loop.create_task(self._connect(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        self.tell()
        return True

    async def _connect(self, connection: socket.socket) -> None:
        with suppress(OSError):  # the client may be gone by now
            await self._loop.connect_accepted_socket(self._protocol, connection)
