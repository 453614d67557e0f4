"""The URL to drive, taken apart once, and the bytes of its request."""

import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from paceline.errors import UsageError


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and what to send there."""

    url: str
    host: str
    port: int
    tls: ssl.SSLContext | None
    request: bytes


def parse_target(url: str) -> Target:
    """Takes an http or https URL.

    Raises:
        UsageError: the URL has another scheme, no host, or characters that a request line must not hold.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"{url!r} is not an address to load: write http://HOST:PORT/PATH")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or not path.isprintable() or " " in path:
        raise UsageError(f"the path of {url!r} has characters that must be percent-encoded")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise UsageError(f"the port of {url!r} is not a number between 1 and 65535") from error
    lines = (f"GET {path} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}", "User-Agent: paceline-load", "", "")
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    return Target(url, parts.hostname, port, tls, "\r\n".join(lines).encode())
