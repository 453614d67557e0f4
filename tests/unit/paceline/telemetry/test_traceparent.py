"""The traceparent header and the trust in it. Whatever a client sends, nothing fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline.errors import UsageError
from paceline.telemetry.traceparent import Remote, TrustedPeers, parse_traceparent

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        pytest.param(f"00-{TRACE}-{SPAN}-01", True, id="sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-00", False, id="not sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-03", True, id="the random flag beside the sampled one"),
        pytest.param(f"00-{TRACE}-{SPAN}-02", False, id="the random flag alone"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-what-comes", True, id="a later version may say more"),
    ],
)
def test_a_wellformed_header_is_understood(header: str, sampled: bool) -> None:
    expected = Remote(int(TRACE, 16), int(SPAN, 16), sampled)
    assert parse_traceparent(header) == parse_traceparent(header.encode()) == expected


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="empty"),
        pytest.param(f"ff-{TRACE}-{SPAN}-01", id="version ff is forbidden"),
        pytest.param(f"00-{TRACE}-{SPAN}-01-more", id="version 00 has four fields"),
        pytest.param(f"00-{'0' * 32}-{SPAN}-01", id="trace id zero"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", id="span id zero"),
        pytest.param(f"00-{TRACE.upper()}-{SPAN}-01", id="upper case"),
        pytest.param(f"00-{TRACE[1:]}-{SPAN}-01", id="trace id too short"),
        pytest.param(f"00-{TRACE}-{SPAN}-1", id="flags too short"),
        pytest.param(f"00-{TRACE}-{SPAN}-01\n", id="a line end"),
        pytest.param("00-é-ü-01", id="no ASCII"),
    ],
)
def test_a_malformed_header_is_ignored(header: str) -> None:
    assert parse_traceparent(header) is None


@given(st.binary(max_size=80))
def test_no_bytes_make_it_fail(header: bytes) -> None:
    parse_traceparent(header)


@given(st.text(max_size=80))
def test_no_text_makes_it_fail(header: str) -> None:
    parse_traceparent(header)


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
    with pytest.raises(UsageError, match=r"PACELINE_TRACE_TRUSTED_PROXIES: 'ingress' is neither"):
        TrustedPeers("127.0.0.1,ingress")


def test_memory_for_peers_is_bounded() -> None:
    peers = TrustedPeers("10.0.0.0/8")
    for number in range(5000):
        assert f"10.0.{number // 250}.{number % 250}" in peers
    assert len(peers._known) <= 1024
