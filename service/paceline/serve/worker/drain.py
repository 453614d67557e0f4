"""How a worker lets go of its connections without losing a request: the lame duck.

A worker that closes idle keep-alive connections at once loses the requests already on the wire (31 to 58 in 7 s of
scaling under load). So it waits for each connection's next request and answers that with `connection: close`.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

from uvicorn.server import ServerState

from paceline.serve.worker.protocol import TunedProtocol

_LOOK_SECONDS: Final = 0.05


async def drain(state: ServerState, *, idle_seconds: float, busy_seconds: float, hurry: Callable[[], bool]) -> float:
    """Waits until all connections are closed; accepting must have stopped.

    Args:
        state: uvicorn's; its connections and default headers.
        idle_seconds: how long to wait for the next request of an idle connection.
        busy_seconds: how long to wait for requests in progress; what is left then is the caller's to cut off.
        hurry: True ends the wait.

    Returns:
        Seconds of `busy_seconds` that are left.
    """
    started = monotonic()
    announce(state)
    while state.connections and not hurry():
        waited = monotonic() - started
        if waited >= busy_seconds:
            break
        if waited >= idle_seconds:
            close_idle(state)
        await asyncio.sleep(_LOOK_SECONDS)
    return max(0.0, busy_seconds - (monotonic() - started))


def announce(state: ServerState) -> None:
    """Tells every client to come back elsewhere: HTTP with its next answer, WebSockets at once (close code 1012)."""
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
