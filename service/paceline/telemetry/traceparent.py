"""The W3C `traceparent` header: parsing, and whose word about sampling is believed. Never fails on what a client sends.

Source: W3C Trace Context, level 2, "traceparent header". Worked example:
`00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01` → trace 0x0af7…, parent span 0xb7ad…, sampled.
"""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

from paceline.errors import UsageError

_FORMAT: Final = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED: Final = 1
_REMEMBERED_PEERS: Final = 1024


class Remote(NamedTuple):
    """Where a request comes from: the caller's trace, its span, and whether it records that trace."""

    trace_id: int
    span_id: int
    sampled: bool


def parse_traceparent(header: bytes | str) -> Remote | None:
    """The caller's trace; None for anything malformed, which the specification wants ignored."""
    raw = header.encode("latin-1", "replace") if isinstance(header, str) else header
    match = _FORMAT.fullmatch(raw)
    if match is None:
        return None
    version, trace, span, flags, rest = match.groups()
    trace_id, span_id = int(trace, 16), int(span, 16)
    if not trace_id or not span_id or (version == b"00" and rest):
        return None
    return Remote(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


class TrustedPeers:
    """Addresses and networks from which the sampled flag counts; `*` trusts everybody."""

    def __init__(self, addresses: str) -> None:
        """Parses a comma-separated list.

        Raises:
            UsageError: names the entry that is neither an address nor a network.
        """
        entries = [entry.strip() for entry in addresses.split(",") if entry.strip()]
        self._everybody = "*" in entries
        self._networks = [_network(entry) for entry in entries if entry != "*"]
        self._known: dict[str, bool] = {}

    def __contains__(self, peer: str | None) -> bool:
        if self._everybody or peer is None:
            return self._everybody
        known = self._known.get(peer)
        if known is None:
            known = self._judge(peer)
            if len(self._known) < _REMEMBERED_PEERS:
                self._known[peer] = known
        return known

    def _judge(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:  # a UNIX socket, or a name that a test client made up
            return False
        return any(address in network for network in self._networks)


def _network(entry: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(entry, strict=False)
    except ValueError as error:
        raise UsageError(
            f"environment variable PACELINE_TRACE_TRUSTED_PROXIES: {entry!r} is neither an address nor a network"
        ) from error
