"""The one list of peers whose word counts: what they say of a client, of a request's id, of sampling.

An IPv4 address may come as IPv6 (`::ffff:10.0.0.1`, from a socket that listens on both): it is the same peer.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from paceline.errors import UsageError

_REMEMBERED: Final = 1024
_MAPPED: Final = IPv6Network("::ffff:0:0/96")


class TrustedPeers:
    """Addresses and networks; `*` trusts everybody."""

    def __init__(self, addresses: str) -> None:
        """Parses a comma-separated list.

        Raises:
            UsageError: names the entry that is neither an address nor a network; the caller says where it stands.
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
            if len(self._known) >= _REMEMBERED:  # the oldest goes: clients of this morning must not keep out today's
                del self._known[next(iter(self._known))]
            self._known[peer] = known
        return known

    def _judge(self, peer: str) -> bool:
        try:
            address = plain_address(peer)
        except ValueError:  # a UNIX socket, or a name that a test client made up
            return False
        return any(address in network for network in self._networks)


def plain_address(text: str) -> IPv4Address | IPv6Address:
    """The address; an IPv4 address that is written as IPv6 comes back as IPv4.

    Raises:
        ValueError: the text is no address.
    """
    address = ip_address(text)
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def plain_client(client: tuple[str, int] | None) -> tuple[str, int] | None:
    """Host and port of a peer, an IPv4 address as IPv4 however the socket names it."""
    if client is None or not client[0].startswith("::"):
        return client
    return str(plain_address(client[0])), client[1]


def _network(entry: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(entry, strict=False)
    except ValueError as error:
        raise UsageError(f"{entry!r} is neither an address nor a network; write for instance 10.0.0.0/8") from error
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((plain_address(str(network.network_address)), network.prefixlen - _MAPPED.prefixlen))
    return network
