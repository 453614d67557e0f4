"""The one list of peers whose word counts: what they say of a client, of a request's id, of sampling."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from paceline.errors import UsageError

_REMEMBERED: Final = 1024


class TrustedPeers:
    """Addresses and networks; `*` trusts everybody."""

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
            if len(self._known) < _REMEMBERED:
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
            f"environment variable PACELINE_TRUSTED_PROXIES: {entry!r} is neither an address nor a network"
        ) from error
