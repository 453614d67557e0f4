"""TCP connections that this process has opened, as the kernel lists them. Linux only; blocks for milliseconds."""

import os
import socket
import sys
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from ipaddress import IPv6Address, ip_address
from itertools import islice
from pathlib import Path
from typing import Final

_ESTABLISHED: Final = "01"
_LISTENING: Final = "0A"
_NETWORK: Final = Path("/proc/self/net")

Address = tuple[str, int]
"""IP address and port; an IPv4 address mapped into IPv6 is shown as what it is."""


def outbound(tables: Iterable[Iterable[str]], own: set[int]) -> dict[int, Address]:
    """Remote addresses of established connections by inode, without those that clients opened to a listening port.

    Keeps none of the other lines: where connections come and go, thousands of closed ones are listed for a minute.

    Args:
        tables: the lines of /proc/net/tcp and tcp6.
        own: inodes of this process's sockets.
    """
    listening: set[int] = set()
    mine: dict[int, tuple[int, str]] = {}
    for line in (line for table in tables for line in islice(table, 1, None)):
        _, local, remote, state, _ = line.split(None, 4)
        if state == _LISTENING:
            listening.add(_port(local))
        elif state == _ESTABLISHED and (inode := int(line.split(None, 10)[9])) in own:
            mine[inode] = (_port(local), remote)
    return {inode: _address(remote) for inode, (port, remote) in mine.items() if port not in listening}


def look() -> dict[int, Address]:
    """`outbound` of this process, now."""
    with ExitStack() as stack:
        paths = [path for path in (_NETWORK / "tcp", _NETWORK / "tcp6") if path.exists()]
        return outbound([stack.enter_context(path.open()) for path in paths], _own_sockets())


def resolve(host: str, port: int) -> set[Address]:
    """The addresses of a name; none where it is unknown at the moment."""
    with suppress(OSError):
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return {(_plain(str(address[0])), int(address[1])) for *_, address in found}
    return set()


def written(address: Address) -> str:
    """As in a URL.

    >>> written(("::1", 5432)), written(("10.0.0.7", 5432))
    ('[::1]:5432', '10.0.0.7:5432')
    """
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _own_sockets() -> set[int]:
    inodes = set()
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # closed meanwhile
            target = os.readlink(f"/proc/self/fd/{descriptor}")
            if target.startswith("socket:["):
                inodes.add(int(target[8:-1]))
    return inodes


def _port(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2], 16)


def _address(endpoint: str) -> Address:
    """The kernel writes an address as numbers of 32 bits, each in this machine's byte order.

    >>> _address("0100007F:1538")
    ('127.0.0.1', 5432)
    """
    words, _, port = endpoint.rpartition(":")
    numbers = [int(words[start : start + 8], 16) for start in range(0, len(words), 8)]
    packed = b"".join(number.to_bytes(4, sys.byteorder) for number in numbers)
    return _plain(str(ip_address(packed))), int(port, 16)


def _plain(host: str) -> str:
    address = ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
