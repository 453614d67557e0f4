"""uvicorn's requests as the drain sees and ends them: the edge between its decisions and uvicorn's objects."""

import asyncio
import logging
import socket
import struct
import sys
from collections.abc import Iterable
from typing import Any, Final

from paceline.asgi import RESPONSE_HEADERS
from paceline.serve.worker.protocol import TunedProtocol
from paceline.serve.worker.unfinished import SAFE_METHODS, Unfinished, media_type

_LAST_CHUNK: Final = b"0\r\n\r\n"
_TCP_INFO: Final = struct.Struct("52x I")
"""Of the kernel's `struct tcp_info` the field `tcpi_last_data_recv`, in milliseconds."""


def look_at(connection: TunedProtocol) -> Unfinished | None:
    """The request that a connection is busy with; None for an idle connection."""
    cycle, arriving = connection.running, connection.arriving
    if cycle is None and not arriving:
        return None
    begun = cycle is not None and cycle.response_started
    return Unfinished(
        cycle.scope["method"] if cycle is not None else "",
        arriving=arriving,
        media_type=media_type(_response_headers(cycle)) if begun else None,
        sized=cycle is not None and not cycle.chunked_encoding,
        silent_seconds=_silence(connection),
    )


def _response_headers(cycle: Any) -> Iterable[tuple[bytes, bytes]]:
    headers: Iterable[tuple[bytes, bytes]] = cycle.scope.get(RESPONSE_HEADERS, ())
    return headers


def _silence(connection: TunedProtocol) -> float:
    """Seconds since the kernel got the client's last byte; 0 where the kernel does not say (Unix sockets)."""
    found = connection.transport.get_extra_info("socket")
    try:
        info = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        return float(_TCP_INFO.unpack(info)[0]) / 1000
    except (OSError, AttributeError, struct.error):
        return 0.0


def end_stream(connection: TunedProtocol) -> None:
    """Ends a response as if it were complete. Its handler sees a client that has gone."""
    if connection.running is not None and connection.running.chunked_encoding:
        connection.transport.write(_LAST_CHUNK)
    connection.transport.close()


def has_no_client(task: asyncio.Task[Any]) -> bool:
    """Whether nobody will hear what a handler says: a closed WebSocket, or a safe request whose client has gone."""
    owner = _owner(task)
    if owner is None:
        return False
    if owner.scope["type"] == "websocket":
        return bool(owner.transport.is_closing())
    return bool(owner.disconnected and not owner.response_complete and owner.scope["method"] in SAFE_METHODS)


def cancel(task: asyncio.Task[Any]) -> None:
    """Cancels a handler without uvicorn's traceback."""
    _owner(task).logger = _Quiet()
    task.cancel()


def _owner(task: asyncio.Task[Any]) -> Any:
    """uvicorn's object for the request or WebSocket that a task of the server handles; None once it has ended."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    return None if frame is None else frame.f_locals.get("self")


class Ending:
    """Stands for the transport of a stream that its library may break off: the client gets a proper end."""

    def __init__(self, cycle: Any) -> None:
        self._cycle = cycle
        self._transport = cycle.transport
        self.write = self._transport.write
        self.is_closing = self._transport.is_closing

    @classmethod
    def attach(cls, cycle: Any) -> None:
        if not isinstance(cycle.transport, cls):
            cycle.transport, cycle.logger = cls(cycle), _Quiet()

    def close(self) -> None:
        if self._cycle.chunked_encoding and not self._cycle.response_complete and not self.is_closing():
            self.write(_LAST_CHUNK)
        self._transport.close()


class _Quiet(logging.LoggerAdapter[logging.Logger]):
    """What uvicorn says of a handler that the drain ended is no error. What else goes wrong in it still is."""

    def __init__(self) -> None:
        super().__init__(logging.getLogger("uvicorn.error"), {})

    @property
    def level(self) -> int:
        return self.logger.level

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        expected = sys.exc_info()[0] in (None, asyncio.CancelledError)
        super().log(logging.DEBUG if expected else level, msg, *args, **kwargs)
