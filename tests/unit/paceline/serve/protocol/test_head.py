"""What the head of a request must be; the pure part."""

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline.serve.protocol.head import (
    Field,
    Framing,
    is_valid_host,
    path_of,
    read_framing,
    size_of,
    takes_websocket,
)
from paceline.serve.protocol.refusal import Refused

pytestmark = pytest.mark.invariant

HOST: Field = (b"host", b"t")


@pytest.mark.parametrize(
    ("fields", "framing"),
    [
        ((), Framing()),
        (((b"content-length", b"0"),), Framing()),
        (((b"content-length", b"000 "),), Framing()),
        (((b"content-length", b"10"),), Framing(has_body=True)),
        (((b"transfer-encoding", b" Chunked"),), Framing(has_body=True, chunked=True)),
        (((b"expect", b"100-Continue"), (b"content-length", b"1")), Framing(has_body=True, expects_continue=True)),
        (((b"expect", b"cookies"),), Framing()),
    ],
)
def test_framing(fields: tuple[Field, ...], framing: Framing) -> None:
    assert read_framing([HOST, *fields], "1.1") == framing


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        pytest.param([], "1.1", id="no host"),
        pytest.param([HOST, HOST], "1.1", id="two hosts"),
        pytest.param([HOST, HOST], "1.0", id="two hosts, HTTP/1.0"),
        pytest.param([HOST, (b"transfer-encoding", b"gzip, chunked")], "1.1", id="two codings"),
        pytest.param([HOST, (b"transfer-encoding", b"identity")], "1.1", id="another coding"),
        pytest.param([HOST, (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")], "1.1", id="twice"),
        pytest.param([HOST, (b"transfer-encoding", b"chunked")], "1.0", id="chunks with HTTP/1.0"),
    ],
)
def test_what_is_refused(fields: list[Field], version: str) -> None:
    with pytest.raises(Refused) as refused:
        read_framing(fields, version)
    assert refused.value.status == 400


@given(st.binary(max_size=40))
def test_a_valid_host_has_no_delimiter(host: bytes) -> None:
    if is_valid_host(host):
        assert not set(host.strip()) & set(b' ,/?#@\\"<>\r\n\t\0')
        assert host.isascii()


def test_long_hosts_are_not_remembered() -> None:
    tracemalloc.start()
    try:
        for number in range(200):
            assert not is_valid_host(b"%d" % number + b"a" * 60_000)
        assert tracemalloc.get_traced_memory()[0] < 3_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("method", "version", "upgrade", "taken"),
    [
        ("GET", "1.1", b"websocket", True),
        ("GET", "1.1", b"h2c, WebSocket", True),
        ("GET", "1.1", b"websocket2", False),
        ("GET", "1.1", b"h2c", False),
        ("GET", "1.0", b"websocket", False),
        ("POST", "1.1", b"websocket", False),
    ],
)
def test_which_handshake_is_taken(method: str, version: str, upgrade: bytes, taken: bool) -> None:
    assert takes_websocket(method, version, [(b"upgrade", upgrade)], Framing()) is taken


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_websocket_has_no_body(method: str) -> None:
    with pytest.raises(Refused):
        takes_websocket(method, "1.1", [(b"upgrade", b"websocket")], Framing(has_body=True))


def test_the_size_is_that_of_the_bytes() -> None:
    fields: list[Any] = [(b"host", b"t"), (b"a", b"bc")]
    assert size_of("GET", b"/x", fields) == len(b"GET /x HTTP/1.1\r\nhost: t\r\na: bc\r\n\r\n")


@pytest.mark.parametrize(
    ("target", "method", "hosts", "path"),
    [
        (b"*", "OPTIONS", [b"t"], b"*"),
        (b"http://t/a?b=c", "GET", [b"t"], b"/a?b=c"),
        (b"HTTP://T:80", "GET", [b"t"], b"/"),
        (b"https://t:443?x", "GET", [b" t "], b"/?x"),
        (b"ws://[::1]:9/ws", "GET", [b"[::1]:9"], b"/ws"),
        (b"http://t/", "GET", [], b"/"),
    ],
)
def test_a_target_with_the_same_host_gives_its_path(
    target: bytes, method: str, hosts: list[bytes], path: bytes
) -> None:
    assert path_of(target, method, hosts) == path


@pytest.mark.parametrize(
    "target",
    [
        b"*",
        b"a",
        b"?a=b",
        b"http://other/a",
        b"http://t:81/",
        b"http://u@t/",
        b"http:///a",
        b"ftp://t/",
        b"http://[bad/",
    ],
)
def test_a_target_that_two_servers_could_read_differently_is_refused(target: bytes) -> None:
    with pytest.raises(Refused):
        path_of(target, "GET", [b"t"])
