"""What the head of a request must be before anything is made of it. Pure.

The parser knows the grammar. Here stands what it leaves to the server: the Host field, codings that the server does not
know, and whether the connection changes to another protocol.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final, NamedTuple, Protocol

from paceline.serve.protocol.refusal import malformed

Field = tuple[bytes, bytes]

FRAMING: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
"""Names of the fields that `read_framing` wants to see."""

_HOST: Final = re.compile(rb"(?:((?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+)|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{0,5}))?")
_ABSOLUTE: Final = re.compile(rb"(http|ws)(s?)://([^/?#]*)([/?].*)?", re.IGNORECASE | re.DOTALL)
_LONGEST_HOST: Final = 255
_LARGEST_PORT: Final = 65535


class Framing(NamedTuple):
    """How the body of a request is delimited."""

    has_body: bool = False
    chunked: bool = False
    expects_continue: bool = False
    """The client waits for `100 Continue` before it sends the body."""


BODILESS: Final = Framing()


def is_valid_host(host: bytes) -> bool:
    """Whether a Host field names one host, with or without a port. Quoted and user parts are no host's.

    Worked examples: `api.example:8000` and `[::1]:80` yes; the empty one, `a, b`, `u@h`, `h/x` and `h:70000` no.
    """
    return len(host) <= _LONGEST_HOST and _names_a_host(host)


@lru_cache(maxsize=1024)
def _names_a_host(host: bytes) -> bool:
    """Of hosts that are short: the memory of what clients sent stays small."""
    match = _HOST.fullmatch(host.strip(b" \t"))
    if match is None:
        return False
    _, address, port = match.groups()
    return int(port or 0) <= _LARGEST_PORT and (address is None or _is_ipv6(address.decode()))


def read_framing(fields: Sequence[Field], version: str) -> Framing:
    """The framing of a request by those of its fields whose names are in `FRAMING`.

    Args:
        version: `1.1` or `1.0`.

    Raises:
        Refused: the fields contradict each other or name what the server does not know.
    """
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) > 1:
        raise malformed("the request has more than one Host field")
    if not hosts and version == "1.1":
        raise malformed("the request has no Host field")
    if hosts and not is_valid_host(hosts[0]):
        raise malformed("the Host field is not a valid host")
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if codings and (len(codings) > 1 or codings[0].strip().lower() != b"chunked" or version != "1.1"):
        raise malformed("the only Transfer-Encoding is chunked, once and with HTTP/1.1")
    lengths = [value for name, value in fields if name == b"content-length"]
    expects = version == "1.1" and any(name == b"expect" and value.lower() == b"100-continue" for name, value in fields)
    return Framing(bool(codings) or any(value.strip(b" \t0") for value in lengths), bool(codings), expects)


def path_of(target: bytes, method: str, hosts: Sequence[bytes]) -> bytes:
    """What of a request target is below the host: path and query, or `*`. For targets that are not a path already.

    Worked examples, with `Host: api.example`: `http://api.example?page=2` gives `/?page=2`; `http://other.example/` and
    `GET *` are refused, since one server would go by the target and another by the Host field.

    Args:
        hosts: the values of the Host field, of which there is one or, with HTTP/1.0, none.

    Raises:
        Refused: it is neither `*` of OPTIONS, nor a URL that names the same host as the Host field.
    """
    if target == b"*" and method == "OPTIONS":
        return target
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise malformed("the target is neither a path nor a URL of HTTP")
    _, secure, host, rest = match.groups()
    port = b":443" if secure else b":80"
    if not is_valid_host(host) or any(_plain(host, port) != _plain(each, port) for each in hosts):
        raise malformed("the target names another host than the Host field")
    rest = rest or b"/"
    return rest if rest.startswith(b"/") else b"/" + rest


def _plain(host: bytes, port: bytes) -> bytes:
    return host.strip(b" \t").lower().removesuffix(port).removesuffix(b":")


def takes_websocket(method: str, version: str, headers: Iterable[Field], framing: Framing) -> bool:
    """Whether a request that asks for an upgrade becomes a WebSocket. No other protocol is ever taken.

    Raises:
        Refused: CONNECT, or a WebSocket handshake with a body: bytes that two servers could read differently.
    """
    if method == "CONNECT":
        raise malformed("this server is not a proxy")
    if version != "1.1" or b"websocket" not in _protocols(headers):
        return False
    if framing.has_body:
        raise malformed("a WebSocket handshake has no body")
    return method == "GET"


def framing_head(fields: Iterable[Field]) -> bytes:
    """A head that stands for the framing of another one, without its upgrade."""
    kept = (field for field in fields if field[0] in (b"content-length", b"transfer-encoding"))
    return b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(b"%b: %b\r\n" % field for field in kept)


def size_of(method: str, target: bytes, headers: Iterable[Field]) -> int:
    """Bytes of a head as it came, but for optional white space."""
    line = len(method) + len(target) + len("  HTTP/1.1\r\n\r\n")
    return line + sum(len(name) + len(value) + len(": \r\n") for name, value in headers)


class Listener(Protocol):
    """What a parser calls."""

    def on_message_begin(self) -> None: ...
    def on_url(self, url: bytes) -> None: ...
    def on_header(self, name: bytes, value: bytes) -> None: ...
    def on_headers_complete(self) -> None: ...
    def on_body(self, body: bytes) -> None: ...
    def on_message_complete(self) -> None: ...


class AfterHead:
    """Passes on all that a parser says, but for the first head.

    For reading on behind a request whose upgrade is not taken: its parser takes all that follows for another protocol
    and drops the framing of the body. So a new parser is told the framing again, which must be told to nobody.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._repeated = True  # the head has been told before
        self.on_body = listener.on_body
        self.on_message_complete = listener.on_message_complete

    def on_message_begin(self) -> None:
        if not self._repeated:
            self._listener.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._repeated:
            self._listener.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._repeated:
            self._listener.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._repeated:
            self._repeated = False
        else:
            self._listener.on_headers_complete()


def _protocols(headers: Iterable[Field]) -> set[bytes]:
    return {each.strip().lower() for name, value in headers if name == b"upgrade" for each in value.split(b",")}


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
