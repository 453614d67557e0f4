"""How a worker reaches the pool's process: a pair of sockets without a name, which only the pod's processes inherit.

A worker makes a connection and hands its other end over. So nothing lies in the run folder that anybody could connect
to, or replace; whoever starts the pool's process again passes the same end on, and what was handed over waits in it.
"""

import logging
import os
import socket
import struct
from typing import Final

_CREDENTIALS: Final = struct.Struct("3i")
_DESCRIPTOR: Final = struct.Struct("i")
_MESSAGE: Final = b"connection"

logger = logging.getLogger("paceline.serve")


def make() -> tuple[int, int]:
    """Descriptors of both ends: the workers' and the pool's."""
    workers, pool = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return workers.detach(), pool.detach()


def hand_over(workers_end: socket.socket) -> socket.socket:
    """A connection whose other end the pool's process takes, once it runs.

    Raises:
        BlockingIOError: too many wait to be taken; try again.
        OSError: no descriptor is left, or nobody can take it any more.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            # Not socket.send_fds: it drops the flags.
            descriptor = (socket.SOL_SOCKET, socket.SCM_RIGHTS, _DESCRIPTOR.pack(theirs.fileno()))
            workers_end.sendmsg([_MESSAGE], [descriptor], socket.MSG_DONTWAIT)
        except OSError:
            ours.close()
            raise
    return ours


def take(pool_end: socket.socket) -> socket.socket | None:
    """The next connection; None where somebody of another user made it.

    Raises:
        BlockingIOError: none waits.
        EOFError: none will ever come: no process is left that could hand one over.
    """
    message, ancillary, _, _ = pool_end.recvmsg(
        len(_MESSAGE), socket.CMSG_LEN(_DESCRIPTOR.size), socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
    )
    if not message:
        raise EOFError
    if not ancillary:
        return None
    connection = socket.socket(fileno=_DESCRIPTOR.unpack(ancillary[0][2])[0])
    if (user := _user(connection)) == os.geteuid():
        return connection
    logger.error("the process pool refused a connection of user %d", user)
    connection.close()
    return None


def _user(connection: socket.socket) -> int:
    """Whose process made it, which may have passed it on."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])
