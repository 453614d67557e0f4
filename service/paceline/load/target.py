"""The URL to drive, taken apart once, and the bytes of its request."""

import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from paceline.errors import UsageError

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_WITHOUT_BODY: Final = frozenset({"GET", "TRACE"})
_NOT_DRIVEN: Final = {
    "HEAD": "its responses name a length and have no body; use GET",
    "CONNECT": "it opens a tunnel instead of asking for something",
}
_OURS: Final = frozenset({"content-length", "transfer-encoding", "connection"})


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and what to send there."""

    url: str
    host: str
    port: int
    tls: ssl.SSLContext | None
    request: bytes


def parse_target(url: str, *, method: str = "GET", headers: Sequence[str] = (), body: bytes = b"") -> Target:
    """Takes an http or https URL.

    Args:
        headers: `NAME: VALUE`; one of a name replaces ours.

    Raises:
        UsageError: the URL has another scheme, no host, credentials, or characters that a request line must not hold;
            the method or a header is not one that can be sent.
    """
    parts = _split(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or not path.isprintable() or " " in path:
        raise UsageError(f"the path of {_shown(url)} has characters that must be percent-encoded")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:  # its words are those of the URL
        raise UsageError(f"the port of {_shown(url)} is not a number between 1 and 65535") from None
    assert parts.hostname
    fields = {"host": ("Host", parts.netloc), "user-agent": ("User-Agent", "paceline-load")}
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    head = [f"{_method(method)} {path} HTTP/1.1", *_lines(fields, [_header(each) for each in headers])]
    if body or method not in _WITHOUT_BODY:
        head.append(f"Content-Length: {len(body)}")
    return Target(url, parts.hostname, port, tls, "\r\n".join([*head, "", ""]).encode("latin-1") + body)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:  # its words may be those of the URL
        parts, is_address = SplitResult("", "", "", "", ""), False
    if "@" in parts.netloc or ("@" in url and not is_address):
        raise UsageError(
            "credentials in the address would be printed with the result; leave out what is before the @,"
            " and write -H 'Authorization: Basic BASE64' or what else the server takes"
        )
    if not is_address:
        raise UsageError(f"{url!r} is not an address to load: write http://HOST:PORT/PATH")
    return parts


def _shown(url: str) -> str:
    """For messages. What is before an @ may be a password with characters that should have been encoded."""
    return "the address, not shown for its @," if "@" in url else repr(url)


def read_body(given: str) -> bytes:
    """The text itself, or with `@FILE` what is in that file.

    Raises:
        UsageError: the file cannot be read.
    """
    if not given.startswith("@"):
        return given.encode()
    try:
        return Path(given[1:]).read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read the body from {given[1:]!r}: {(error.strerror or str(error)).lower()}"
        ) from error


def _method(method: str) -> str:
    if why := _NOT_DRIVEN.get(method.upper()):
        raise UsageError(f"--method {method} is no load: {why}")
    if not _TOKEN.fullmatch(method):
        raise UsageError(f"--method {method!r} is no method of HTTP")
    return method


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    value = value.strip()
    if not colon or not _TOKEN.fullmatch(name) or not value.isprintable():
        raise UsageError(f"--header {text!r} is wrong; write 'NAME: VALUE'")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise UsageError(f"--header {text!r} has characters that a header cannot hold") from error
    if name.lower() in _OURS:
        raise UsageError(f"--header {name} is set by what is sent; leave it out")
    return name, value


def _lines(ours: dict[str, tuple[str, str]], given: Sequence[tuple[str, str]]) -> list[str]:
    names = {name.lower() for name, _ in given}
    kept = [pair for name, pair in ours.items() if name not in names]
    return [f"{name}: {value}" for name, value in [*kept, *given]]
