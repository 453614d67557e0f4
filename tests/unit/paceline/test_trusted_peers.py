"""Whose word counts."""

import pytest
from paceline.errors import UsageError
from paceline.trusted_peers import TrustedPeers


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
    ],
)
def test_who_is_trusted(addresses: str, peer: str | None, trusted: bool) -> None:
    peers = TrustedPeers(addresses)
    assert (peer in peers) is trusted
    assert (peer in peers) is trusted, "the second time the answer is remembered"


def test_a_wrong_address_is_named() -> None:
    with pytest.raises(UsageError, match=r"PACELINE_TRUSTED_PROXIES: 'ingress' is neither"):
        TrustedPeers("127.0.0.1,ingress")


def test_memory_for_peers_is_bounded() -> None:
    peers = TrustedPeers("10.0.0.0/8")
    for number in range(5000):
        assert f"10.0.{number // 250}.{number % 250}" in peers
    assert len(peers._known) <= 1024
