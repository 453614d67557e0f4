"""What proxies say of a client: `X-Forwarded-For` and `-Proto`, or `Forwarded` (RFC 7239). Pure; never fails on input.

Each proxy appends the address it was called from. So the list is read from its end, over proxies that are trusted; what
stands before the first untrusted address anybody may have written. Worked example, 10.0.0.0/8 trusted:
`1.1.1.1, 9.9.9.9, 10.0.0.7` → 9.9.9.9.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from paceline.trusted_peers import TrustedPeers, plain_address

RawHeaders = Iterable[tuple[bytes, bytes]]

X_FORWARDED: Final = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})
FORWARDED: Final = frozenset({b"forwarded"})
"""Names of the headers that `by_x_forwarded` and `by_forwarded` read."""

_WITH_PORT: Final = re.compile(r"\[([^\]]+)\](?::\d+)?|([^:]+):\d+")
_PARAMETER: Final = re.compile(r'\s*(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^;,\s"]*))\s*([;,]|$)')


class Hop(NamedTuple):
    """Whom one proxy was called by, and how; None where it did not say so in a form that counts."""

    address: str | None
    scheme: str


def by_x_forwarded(headers: RawHeaders) -> list[Hop]:
    """The scheme is that of the nearest proxy, the only one that is certainly there."""
    chain, scheme = [], b""
    for name, value in headers:
        if name == b"x-forwarded-for":
            chain.append(value)
        elif name == b"x-forwarded-proto":
            scheme = value
    said = scheme.rpartition(b",")[2].strip().lower().decode("latin-1")
    addresses = b",".join(chain).decode("latin-1").split(",") if chain else []
    hops = [Hop(_address(each), said) for each in addresses]
    return hops or ([Hop(None, said)] if said else [])


def by_forwarded(headers: RawHeaders) -> list[Hop]:
    hops: list[Hop] = []
    element: dict[str, str] = {}
    text = b",".join(value for name, value in headers if name == b"forwarded").decode("latin-1")
    for name, quoted, plain, end in _PARAMETER.findall(text):
        element[name.lower()] = quoted or plain
        if end != ";":
            hops.append(Hop(_address(element.get("for", "")), element.get("proto", "").lower()))
            element = {}
    return hops


def client_of(hops: Sequence[Hop], trusted: TrustedPeers) -> Hop | None:
    """The last hop that no trusted proxy is; where all are, the first. A hop without an address ends the chain."""
    found = None
    for hop in reversed(hops):
        if hop.address is None:
            return found or hop
        found = hop
        if hop.address not in trusted:
            break
    return found


def _address(said: str) -> str | None:
    said = said.strip()
    match = _WITH_PORT.fullmatch(said)
    try:
        return str(plain_address(match.group(1) or match.group(2) if match else said))
    except ValueError:
        return None
