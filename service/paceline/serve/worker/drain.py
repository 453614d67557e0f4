"""How a worker lets go of its connections without losing a request: the lame duck.

A worker that closes idle keep-alive connections at once loses the requests already on the wire (31 to 58 in 7 s of
scaling under load). So it waits for each connection's next request, and responds to that with `connection: close`. A
connection that has not sent a byte for the drain grace is closed.
It does not wait for what cannot finish: `unfinished` says what that is.
"""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from uvicorn.server import ServerState

from paceline.serve.worker.endings import Ending, cancel, end_stream, has_no_client, look_at
from paceline.serve.worker.protocol import TunedProtocol
from paceline.serve.worker.unfinished import Patience, Verdict, judge

_LOOK_SECONDS: Final = 0.05

logger = logging.getLogger("paceline.serve")


async def drain(state: ServerState, patience: Patience, *, hurry: Callable[[], bool]) -> float:
    """Waits until all connections are closed and their handlers have ended; accepting must have stopped.

    Args:
        state: uvicorn's; its connections, its tasks and its default headers.
        patience: how long to wait for what. What is left after `busy_seconds` is the caller's to cut off.
        hurry: True ends the wait.

    Returns:
        Seconds of `busy_seconds` that are left.
    """
    started = monotonic()
    announce(state)
    left = _Left(state, patience)
    while (state.connections or state.tasks) and not hurry():
        waited = monotonic() - started
        if waited >= patience.busy_seconds:
            break
        if waited >= patience.idle_seconds:
            close_idle(state)
        else:
            close_unused(state, patience.grace_seconds)
        expect_ends(state, patience)
        left.end_what_cannot_finish(waited)
        await asyncio.sleep(_LOOK_SECONDS)
    left.tell()
    return max(0.0, patience.busy_seconds - (monotonic() - started))


def expect_ends(state: ServerState, patience: Patience) -> None:
    """Prepares for libraries that break their endless streams off once they see that the server stops."""
    for connection in list(state.connections):
        if isinstance(connection, TunedProtocol):
            request = look_at(connection)
            if request is not None and request.media_type in patience.endless_types:
                Ending.attach(connection.running)


def announce(state: ServerState) -> None:
    """Tells every client to come back elsewhere: HTTP with its next response, WebSockets at once (close code 1012)."""
    # A new list: requests in progress hold the old one, and pipelined ones among them must not all say close.
    state.default_headers = [*state.default_headers, (b"connection", b"close")]
    for connection in list(state.connections):
        if isinstance(connection, TunedProtocol):
            connection.announce_close()
        else:
            connection.shutdown()


def close_idle(state: ServerState) -> None:
    """Closes the connections that nobody is using at this moment."""
    for connection in list(state.connections):
        if isinstance(connection, TunedProtocol):
            connection.close_if_idle()


def close_unused(state: ServerState, seconds: float) -> None:
    """Closes the connections that are so old and have never sent a byte."""
    for connection in list(state.connections):
        if isinstance(connection, TunedProtocol) and connection.unused_seconds() >= seconds:
            connection.close_if_idle()


class _Left:
    """What is left of a draining worker's requests, and how many of them were ended before their time."""

    def __init__(self, state: ServerState, patience: Patience) -> None:
        self._state = state
        self._patience = patience
        self._ended = dict.fromkeys(Verdict, 0)
        self._without_client: dict[asyncio.Task[Any], float] = {}
        self._streams: set[TunedProtocol] = set()
        self._unread: dict[Any, tuple[int, float]] = {}
        """Of connections that were closed: bytes that the client did not take yet, and since when it takes none."""
        self._cancelled = 0

    def end_what_cannot_finish(self, waited: float) -> None:
        for connection in list(self._state.connections):
            if not connection.transport.is_closing():
                if isinstance(connection, TunedProtocol):
                    self._judge(connection, waited)
            elif connection in self._streams or not isinstance(connection, TunedProtocol):
                self._abort_if_unread(connection, waited)
        for task in list(self._state.tasks):
            if has_no_client(task):
                self._cancel_after_grace(task, waited)

    def _judge(self, connection: TunedProtocol, waited: float) -> None:
        request = look_at(connection)
        if request is None:
            return
        verdict = judge(request, self._patience, waited)
        self._ended[verdict] += 1
        if verdict is Verdict.STALLED:
            connection.transport.close()
        elif verdict is Verdict.ENDLESS:
            self._streams.add(connection)
            end_stream(connection)

    def _abort_if_unread(self, connection: Any, waited: float) -> None:
        """Of a stream or a WebSocket that was ended: a client who reads nothing would hold it open. A response that is
        complete stays: its client may still read it."""
        size = connection.transport.get_write_buffer_size()
        before, since = self._unread.get(connection, (None, waited))
        if size != before:
            self._unread[connection] = size, waited
        elif waited >= since + self._patience.grace_seconds:
            connection.transport.abort()

    def _cancel_after_grace(self, task: asyncio.Task[Any], waited: float) -> None:
        noticed = self._without_client.setdefault(task, waited)
        if waited >= noticed + self._patience.grace_seconds:
            self._without_client[task] = float("inf")  # once
            self._cancelled += 1
            cancel(task)

    def tell(self) -> None:
        """Says in one line what could not finish, if there was any."""
        stalled, endless = self._ended[Verdict.STALLED], self._ended[Verdict.ENDLESS]
        if stalled or endless or self._cancelled:
            logger.info(
                "drain: closed %d requests that stopped arriving, ended %d endless responses,"
                " cancelled %d handlers without a client",
                stalled,
                endless,
                self._cancelled,
            )
