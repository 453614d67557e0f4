"""Messages over a stream: eight bytes of length, then the content. For both kinds of ends: asyncio's and blocking."""

import asyncio
import socket
import struct
from typing import Final

_LENGTH: Final = struct.Struct("!Q")


def frame(content: bytes) -> bytes:
    """The content as it is sent."""
    return _LENGTH.pack(len(content)) + content


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next content; None where the other end is gone, in the middle of one too."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def receive_frame(link: socket.socket) -> bytes | None:
    """`read_frame` for a blocking socket."""
    header = _receive(link, _LENGTH.size)
    return None if header is None else _receive(link, _LENGTH.unpack(header)[0])


def _receive(link: socket.socket, length: int) -> bytes | None:
    content = bytearray()
    while len(content) < length:
        try:
            piece = link.recv(length - len(content))
        except ConnectionError:
            return None
        if not piece:
            return None
        content += piece
    return bytes(content)
