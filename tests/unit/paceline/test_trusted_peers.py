"""Whose word counts."""

import pytest
from paceline.errors import UsageError
from paceline.trusted_peers import TrustedPeers


@pytest.mark.invariant
@pytest.mark.parametrize(
    ("addresses", "peer", "trusted"),
    [
        pytest.param("127.0.0.1,::1", "127.0.0.1", True, id="an address of the list"),
        pytest.param("127.0.0.1,::1", "::1", True, id="an IPv6 address of the list"),
        pytest.param("127.0.0.1", "10.0.0.1", False, id="another address"),
        pytest.param("10.0.0.0/8", "10.1.2.3", True, id="an address in a network"),
        pytest.param("10.0.0.0/8", "11.1.2.3", False, id="an address outside of it"),
        pytest.param(" 10.0.0.0/8 , 127.0.0.1 ", "127.0.0.1", True, id="spaces do not matter"),
        pytest.param("*", "203.0.113.9", True, id="everybody"),
        pytest.param("*", None, True, id="everybody, over a UNIX socket"),
        pytest.param("127.0.0.1", None, False, id="a UNIX socket is not listed"),
        pytest.param("127.0.0.1", "testclient", False, id="what is no address"),
        pytest.param("", "127.0.0.1", False, id="nobody"),
        pytest.param("10.0.0.0/8", "::ffff:10.0.0.1", True, id="IPv4 as IPv6"),
        pytest.param("10.0.0.0/8", "::FFFF:A00:1", True, id="IPv4 as IPv6, in digits"),
        pytest.param("10.0.0.1", "::ffff:10.0.0.1", True, id="one IPv4 address as IPv6"),
        pytest.param("10.0.0.0/8", "::ffff:11.0.0.1", False, id="another IPv4 address as IPv6"),
        pytest.param("10.0.0.0/8", "::10.0.0.1", False, id="an IPv6 address that only looks like it"),
        pytest.param("::ffff:10.0.0.0/104", "10.1.2.3", True, id="a network written as IPv6, a peer as IPv4"),
        pytest.param("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", True, id="both written as IPv6"),
        pytest.param("::ffff:10.0.0.1", "10.0.0.1", True, id="an address of the list written as IPv6"),
        pytest.param("::/0", "2001:db8::1", True, id="all of IPv6"),
        pytest.param("fe80::/10", "fe80::1%eth0", True, id="with a zone"),
    ],
)
def test_who_is_trusted(addresses: str, peer: str | None, trusted: bool) -> None:
    peers = TrustedPeers(addresses)
    assert (peer in peers) is trusted
    assert (peer in peers) is trusted, "the second time the response is remembered"


def test_a_wrong_address_is_named() -> None:
    with pytest.raises(UsageError, match=r"'ingress' is neither"):
        TrustedPeers("127.0.0.1,ingress")


def test_memory_for_peers_is_bounded() -> None:
    peers = TrustedPeers("10.0.0.0/8")
    for number in range(5000):
        assert f"10.0.{number // 250}.{number % 250}" in peers
    assert len(peers._known) <= 1024


def test_who_came_last_is_remembered_however_many_came_before() -> None:
    peers = TrustedPeers("10.0.0.0/8")
    for number in range(5000):
        assert f"10.0.{number // 250}.{number % 250}" in peers
    assert "10.0.19.249" in peers._known
