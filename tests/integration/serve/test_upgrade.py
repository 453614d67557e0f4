"""Upgrades. One that is not taken is ignored: the body is read, and no byte behind it is lost or read as a request."""

from collections.abc import Iterator

import pytest
from raw_http import exchange, raw
from serving import Served, pod

pytestmark = pytest.mark.invariant

NEXT = b"GET /next HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"
WEBSOCKET = (
    b"Host: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
HELLO = b"\x81\x85\x00\x00\x00\x00hello"  # a text frame with the mask 0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pod(tmp_path_factory.mktemp("upgrade"), "mirroring:app") as started:
        yield started


def texts(served: Served, *parts: bytes) -> list[str]:
    return [response.body.decode() for response in exchange(served.port, *parts)]


@pytest.mark.parametrize("packets", ["one", "head and body", "byte by byte"])
@pytest.mark.parametrize(
    ("framing", "body", "read"),
    [
        pytest.param(b"Content-Length: 5\r\n", b"hello", "hello", id="length"),
        pytest.param(b"Transfer-Encoding: chunked\r\n", b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", "hello", id="chunks"),
        pytest.param(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\nX: y\r\n\r\n", "hello", id="trailer"),
        pytest.param(b"Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED, SMUGGLED.decode(), id="a request as body"),
        pytest.param(b"Content-Length: 0\r\n", b"", "", id="empty"),
        pytest.param(b"", b"", "", id="none"),
    ],
)
@pytest.mark.parametrize(
    "upgrade", ["h2c", "TLS/1.0", "foo", "h2c, foo", "WebSocketX", ""], ids=lambda name: name or "no protocol"
)
def test_an_upgrade_that_is_not_taken_is_ignored(
    served: Served, upgrade: str, framing: bytes, body: bytes, read: str, packets: str
) -> None:
    head = b"POST /process HTTP/1.1\r\nHost: t\r\nConnection: keep-alive, Upgrade\r\n"
    head += b"Upgrade: %b\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n%b\r\n" % (upgrade.encode(), framing)
    whole = head + body + NEXT
    if packets == "one":
        assert texts(served, whole) == [f"POST /process {read}", "GET /next "]
    elif packets == "head and body":
        assert texts(served, head, body + NEXT) == [f"POST /process {read}", "GET /next "]
    else:
        with raw(served.port) as connection:
            connection.send(*(whole[place : place + 1] for place in range(len(whole))), pause=0)
            assert [each.body.decode() for each in connection.responses()] == [f"POST /process {read}", "GET /next "]


def test_many_upgrades_in_one_packet(served: Served) -> None:
    one = b"POST /p HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nab"
    assert texts(served, one * 2000 + NEXT) == ["POST /p ab"] * 2000 + ["GET /next "]


def test_http_1_0_knows_no_upgrade(served: Served) -> None:
    request = b"POST /old HTTP/1.0\r\n" + WEBSOCKET + b"Content-Length: 5\r\n\r\nhello"
    assert texts(served, request) == ["POST /old hello"]


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"HEAD", b"OPTIONS"])
def test_only_get_opens_a_websocket(served: Served, method: bytes) -> None:
    (response,) = exchange(served.port, method + b" /no HTTP/1.1\r\nConnection: close\r\n" + WEBSOCKET + b"\r\n")
    assert response.status == 200


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize(
    "framed",
    [
        pytest.param(b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED, id="length"),
        pytest.param(b"Content-Length: 0%d\r\n\r\n" % len(SMUGGLED) + SMUGGLED, id="a zero before the length"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="no chunk"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", id="chunks"),
    ],
)
def test_a_websocket_handshake_has_no_body(served: Served, method: bytes, framed: bytes) -> None:
    (response,) = exchange(served.port, method + b" /ws HTTP/1.1\r\n" + WEBSOCKET + framed + NEXT)
    assert response.status == 400
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("extra", [b"", b"Content-Length: 0\r\n"])
def test_frames_behind_a_handshake_are_not_lost(served: Served, together: bool, extra: bytes) -> None:
    handshake = b"GET /ws HTTP/1.1\r\n" + WEBSOCKET + extra + b"\r\n"
    with raw(served.port) as connection:
        connection.send(*([handshake + HELLO] if together else [handshake, HELLO]))
        response = connection.response()
        assert response is not None
        assert response.status == 101
        assert connection.read(7) == b"\x81\x05hello"


@pytest.mark.parametrize("seconds", [b"0", b"0.5"])
@pytest.mark.parametrize("packets", [1, 2, 3])
@pytest.mark.parametrize(
    "bad", [b"GET /smuggled HTTP/1.1\r\n", b"\xb1\x80\0\0\0\0", b"\x81\x05hello", b"\xff" * 100_000]
)
def test_bad_frames_before_the_handshake_is_accepted_wait_until_it_is(
    served: Served, bad: bytes, packets: int, seconds: bytes
) -> None:
    handshake = b"GET /ws?seconds=" + seconds + b" HTTP/1.1\r\n" + WEBSOCKET + b"\r\n"
    sent = [[handshake + HELLO + bad], [handshake, HELLO + bad], [handshake, HELLO, bad]][packets - 1]
    with raw(served.port) as connection:
        connection.send(*sent)
        response = connection.response()
        assert response is not None
        assert response.status == 101
        received = connection.read(7)
        if received == b"\x81\x05hello":  # unless the close overtook it
            received = connection.read(4)
        assert received[:1] == b"\x88"
        assert int.from_bytes(received[2:4], "big") == 1002
    assert "Traceback" not in served.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b"Version: 13", b"Version: 8", id="another version"),
        pytest.param(b"dGhlIHNhbXBsZSBub25jZQ==", b"short", id="a bad key"),
        pytest.param(b"Sec-WebSocket-Key", b"X-Key", id="no key"),
    ],
)
def test_a_bad_handshake_is_refused(served: Served, old: bytes, new: bytes) -> None:
    (response,) = exchange(served.port, b"GET /ws HTTP/1.1\r\n" + WEBSOCKET.replace(old, new) + b"\r\n")
    assert response.status in (400, 426)


def test_a_handshake_does_not_overtake_a_response(served: Served) -> None:
    slow = b"GET /first?seconds=0.3 HTTP/1.1\r\nHost: t\r\n\r\n"
    responses = exchange(served.port, slow + b"GET /ws HTTP/1.1\r\n" + WEBSOCKET + b"\r\n" + HELLO)
    assert [response.status for response in responses] == [200, 400]
    assert responses[0].body == b"GET /first "


def test_connect_is_refused(served: Served) -> None:
    (response,) = exchange(served.port, b"CONNECT t:80 HTTP/1.1\r\nHost: t:80\r\n\r\n" + SMUGGLED)
    assert response.status == 400
