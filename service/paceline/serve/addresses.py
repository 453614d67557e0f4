"""Addresses to listen on, as options and settings write them."""

import socket
from typing import Final

from paceline.errors import UsageError

_EVERYWHERE: Final = {"", "*"}


def parse_address(address: str, *, option: str) -> tuple[str, int]:
    """`HOST:PORT`, `:PORT` or `*:PORT` for all of IPv4, or `[IPv6]:PORT` as a pair; the port is 1 to 65535.

    Raises:
        UsageError: names the option.
    """
    host, colon, port = address.removeprefix("tcp://").rpartition(":")
    host = "0.0.0.0" if host in _EVERYWHERE else host.removeprefix("[").removesuffix("]").lower()
    if not host or not colon or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise UsageError(f"{option} {address!r} is wrong; write HOST:PORT, for instance 127.0.0.1:8000")
    return host, int(port)


def family_of(host: str, port: int) -> socket.AddressFamily:
    """IPv4 where the host has an address of it: a name such as localhost often has both.

    Raises:
        OSError: there is no such host.
    """
    found = {family for family, *_ in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    return socket.AF_INET if socket.AF_INET in found else socket.AF_INET6


def check_free(address: tuple[str, int], *, option: str) -> None:
    """Raises UsageError if nothing could listen on the address now."""
    host, port = address
    try:
        with socket.socket(family_of(host, port), socket.SOCK_STREAM) as probe:
            # As the server itself does: connections of a former server in TIME_WAIT are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise UsageError(
            f"cannot listen on port {port} of {host}: {(error.strerror or str(error)).lower()};"
            f" stop what uses it or choose another with {option}"
        ) from error
