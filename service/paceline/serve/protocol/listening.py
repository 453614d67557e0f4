"""Lets a listening socket finish what has begun and begin nothing new, so that it can be closed with nobody waiting.

Closing a listening socket resets the connections in its queue, whose requests may be on their way already. Emptying
the queue first is not enough: between the last accept and the close more may arrive.
"""

import ctypes
import logging
import socket
import struct
from typing import Final

logger = logging.getLogger("paceline.serve")

_SO_ATTACH_FILTER: Final = 26  # socket(7); Python has no name for it
_TCP_FLAGS: Final = 13  # offset in the TCP header, which is where the kernel starts such a filter
_SYN: Final = 0x02
# Classic BPF, one instruction (code, jump if true, jump if false, operand) a line.
_DROP_SYN: Final = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, _TCP_FLAGS),  # load the byte
        (0x45, 0, 1, _SYN),  # is the bit set?
        (0x06, 0, 0, 0),  # yes: drop the packet
        (0x06, 0, 0, 0xFFFFFFFF),  # no: keep all of it
    )
)


def refuse_connections(listener: socket.socket) -> None:
    """From now on the kernel drops every request for a connection, in all processes that share the socket.

    A client that is dropped asks again after a second and finds the socket closed: refused, with nothing sent.
    A unix socket needs none of it: its path is gone by now.
    """
    if listener.family == socket.AF_UNIX:
        return
    program = ctypes.create_string_buffer(_DROP_SYN, len(_DROP_SYN))
    header = struct.pack("HL", len(_DROP_SYN) // 8, ctypes.addressof(program))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)
    except OSError as error:
        # A sandboxed kernel may not know filters; then connections of the last instant are reset.
        logger.info("new connections cannot be held off while stopping: %s", error.strerror)
