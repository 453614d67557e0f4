"""The sockets of a cluster client, whatever node they lead to: how many are open, which are idle, room for more."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any


class Sockets:
    """Counts a socket from before it is opened until after it is closed. Knows redis-py's connections and nodes."""

    def __init__(self, needed: Callable[[], int]) -> None:
        """
        Args:
            needed: how many may be open now.
        """
        self._needed = needed
        self._open: set[Any] = set()
        self._connecting = 0
        self._idle: dict[Any, Any] = {}
        """Connections that nobody has, with their nodes; the one idle longest first."""
        self._leaving: set[Any] = set()
        """Connections that are about to close, or closing."""
        self._seeking = 0
        self._woken: list[asyncio.Future[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        """Sockets that the servers may see."""
        return len(self._open) + self._connecting

    def transports(self) -> list[Any]:
        """Of those that are open."""
        return [connection._writer.transport for connection in self._open if connection.is_connected]

    def add(self, connection: Any) -> None:
        """Counts a connection that is open already."""
        self._open.add(connection)

    async def open(self, connection: Any, connect: Callable[[], Awaitable[None]]) -> None:
        """Opens a socket once there is room for it."""
        await self._make_room()
        self._connecting += 1
        try:
            await connect()
        finally:
            self._connecting -= 1
            if connection.is_connected:
                self._open.add(connection)
            self._wake()

    async def close(self, connection: Any, disconnect: Callable[[], Awaitable[None]]) -> None:
        """Counts a connection out once it is closed, whoever closes it."""
        if connection.is_connected:
            self._leaving.add(connection)
        try:
            await disconnect()
        finally:
            self._left(connection)

    def rest(self, connection: Any, node: Any) -> None:
        """Nobody has this connection any more; it is in its node's list of those."""
        if connection.is_connected:
            self._idle[connection] = node

    def use(self, connection: Any) -> None:
        """Somebody has this connection now."""
        self._idle.pop(connection, None)

    def expect_to_close(self, connection: Any) -> None:
        """redis-py is about to close this connection."""
        if connection.is_connected:
            self._leaving.add(connection)

    def discard(self, connection: Any) -> None:
        """Closes a connection that nobody can get any more."""
        if not connection.is_connected:
            return
        self._leaving.add(connection)
        task = asyncio.get_running_loop().create_task(_disconnect(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._left(connection))

    def trim(self) -> None:
        """Starts to close idle connections that are too many."""
        while self.count - len(self._leaving) > self._needed() and self._close_idle():
            pass

    async def all_discarded(self) -> None:
        """Waits for those that `discard` and `trim` close."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _make_room(self) -> None:
        """Closes idle connections, which are to other nodes, and waits for those that close."""
        self._seeking += 1
        try:
            while self.count >= self._needed():
                if len(self._leaving) < self._seeking:
                    self._close_idle()
                if not self._leaving:
                    return  # all are in use: under an earlier, higher limit, under which this one was granted too
                woken = asyncio.get_running_loop().create_future()
                self._woken.append(woken)
                await woken
        finally:
            self._seeking -= 1

    def _close_idle(self) -> bool:
        """Starts to close the connection that was idle longest; False if none is."""
        while self._idle:
            connection = next(iter(self._idle))
            node = self._idle.pop(connection)
            if connection in node._free:  # else redis-py has it for a moment
                node._free.remove(connection)  # nobody may be given it while it closes
                node._connections.remove(connection)
                self.discard(connection)
                return True
        return False

    def _left(self, connection: Any) -> None:
        if not connection.is_connected:
            self._open.discard(connection)
            self._idle.pop(connection, None)
        self._leaving.discard(connection)
        self._wake()

    def _wake(self) -> None:
        woken, self._woken = self._woken, []
        for each in woken:
            if not each.done():
                each.set_result(None)


async def _disconnect(connection: Any) -> None:
    with suppress(Exception):  # whatever happens to a connection that closes, it is gone afterwards
        await connection.disconnect()
