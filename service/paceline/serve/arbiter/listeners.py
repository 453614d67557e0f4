"""The listening sockets of a pod: opened here, before gunicorn starts, which then takes them as inherited.

gunicorn would forget the other addresses where one is inherited, retry for five seconds where one is taken, and remove
the path of a unix socket that somebody else owns.
"""

import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from paceline.errors import UsageError
from paceline.serve.addresses import family_of
from paceline.serve.binds import Bind, Inherited, Tcp, Unix, parse_binds
from paceline.settings import ServeSettings

Owned: TypeAlias = tuple[str, int, int]
"""A path that was made here, with device and inode: another server may have put its own in its place since."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """What a pod listens on, in the order of its addresses."""

    descriptors: tuple[int, ...]
    paths: tuple[Owned, ...] = ()
    """Of unix sockets that were made here."""

    def remove_paths(self) -> None:
        """Removes them, unless they are another server's by now."""
        for path, device, inode in self.paths:
            with suppress(OSError):
                status = Path(path).stat()
                if (status.st_dev, status.st_ino) == (device, inode):
                    Path(path).unlink()


def open_sockets(settings: ServeSettings) -> Sockets:
    """Those of `--bind`. Raises UsageError: names the address that cannot be listened on."""
    binds = parse_binds(settings.bind, option="--bind")
    return listen(binds, backlog=settings.backlog, umask=int(settings.umask, 8))


def listen(binds: Sequence[Bind], *, backlog: int, umask: int) -> Sockets:
    """Opens them all.

    Raises:
        UsageError: names the address that cannot be listened on; none is left open.
    """
    descriptors: list[int] = []
    paths: list[Owned] = []
    try:
        for bind in binds:
            descriptors.append(_listen(bind, binds, backlog, umask))
            if isinstance(bind, Unix) and bind.file is not None:
                status = bind.file.stat()
                paths.append((str(bind.file.absolute()), status.st_dev, status.st_ino))
    except UsageError:
        Sockets((), tuple(paths)).remove_paths()
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    return Sockets(tuple(descriptors), tuple(paths))


def _listen(bind: Bind, all_binds: Sequence[Bind], backlog: int, umask: int) -> int:
    with ExitStack() as opened:
        try:
            listener = opened.enter_context(_open(bind))
            match bind:
                case Tcp():
                    _bind_tcp(listener, bind, all_binds)
                case Unix():
                    _bind_unix(listener, bind, umask)
            if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                listener.listen(backlog)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UsageError(f"cannot listen on {bind}: {reason}; choose another address with --bind") from error
        listener.setblocking(False)
        return listener.detach()


def _open(bind: Bind) -> socket.socket:
    match bind:
        case Inherited(number):
            return socket.socket(fileno=number)
        case Unix():
            return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        case Tcp(host, port):
            return socket.socket(family_of(host, port), socket.SOCK_STREAM)


def _bind_tcp(listener: socket.socket, bind: Tcp, all_binds: Sequence[Bind]) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what it accepts has it, too
    if listener.family == socket.AF_INET6 and any(_is_ipv4(other, bind.port) for other in all_binds):
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind((bind.host, bind.port))


def _is_ipv4(bind: Bind, port: int) -> bool:
    return isinstance(bind, Tcp) and bind.port == port and family_of(bind.host, port) == socket.AF_INET


def _bind_unix(listener: socket.socket, bind: Unix, umask: int) -> None:
    if bind.file is not None:
        bind.file.unlink(missing_ok=True)  # nobody listens there: `paceline serve` has looked
    before = os.umask(umask)
    try:
        listener.bind(bind.address)
    finally:
        os.umask(before)
