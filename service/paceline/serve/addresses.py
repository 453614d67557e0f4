"""Addresses to listen on, as options and settings write them."""

import socket

from paceline.errors import UsageError


def parse_address(address: str, *, option: str) -> tuple[str, int]:
    """`HOST:PORT` or `[IPv6]:PORT` as a pair; the port is 1 to 65535.

    Raises:
        UsageError: names the option.
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise UsageError(f"{option} {address!r} is wrong; write HOST:PORT, for instance 127.0.0.1:8000")
    return host, int(port)


def check_free(address: tuple[str, int], *, option: str) -> None:
    """Raises UsageError if nothing could listen on the address now."""
    host, port = address
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As the server itself does: connections of a former server in TIME_WAIT are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise UsageError(
            f"cannot listen on port {port} of {host}: {(error.strerror or str(error)).lower()};"
            f" stop what uses it or choose another with {option}"
        ) from error
