"""Takes connections from the listening sockets that all workers share, one for each time the loop wakes up.

An event loop that accepts until the queue is empty leaves one worker with most connections: of 64 opened at once it
held up to 64. One accept for each wake-up lets the others have their turn.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_SECONDS: Final = 1.0

logger = logging.getLogger("paceline.serve")


class Acceptor:
    """Accepts from `start` until `stop`; belongs to one event loop."""

    def __init__(self, sockets: Sequence[socket.socket], protocol: Callable[[], asyncio.Protocol]) -> None:
        self._sockets = sockets
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        self._stopped = False

    def start(self) -> None:
        for listener in self._sockets:
            listener.setblocking(False)
            self._listen(listener)

    async def stop(self, *, empty_queue: bool) -> None:
        """Accepts no more, closes this process's copies of the sockets, waits for connections half taken.

        Args:
            empty_queue: take what waits in the queue first. For the last workers of a pod: connections that wait when
                the last copy closes are reset.
        """
        self._stopped = True
        for listener in self._sockets:
            self._loop.remove_reader(listener.fileno())
            while empty_queue and self._accept(listener):
                pass
            listener.close()
        if self._connecting:
            await asyncio.wait(self._connecting)

    def _listen(self, listener: socket.socket) -> None:
        if not self._stopped:
            self._loop.add_reader(listener.fileno(), self._accept, listener)

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
        return True

    async def _connect(self, connection: socket.socket) -> None:
        with suppress(OSError):  # the client may be gone by now
            await self._loop.connect_accepted_socket(self._protocol, connection)
