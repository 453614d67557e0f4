"""Malformed requests and frames: refused, the connection closed, and nothing behind them read as a request."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from raw_http import exchange, raw
from serving import Served, pod

pytestmark = pytest.mark.invariant

GET = b"GET / HTTP/1.1\r\nHost: t\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: t\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"
MALFORMED = {
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "the same length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "a length with a sign": POST + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": POST + b"Content-Length: -5\r\n\r\nhello",
    "a length in hexadecimal": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "a length with a gap": POST + b"Content-Length: 5 5\r\n\r\nhello",
    "no length": POST + b"Content-Length: \r\n\r\n",
    "a length beyond 64 bits": POST + b"Content-Length: 18446744073709551621\r\n\r\nhello",
    "space before the colon": POST + b"Content-Length : 5\r\n\r\nhello",
    "another coding": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "codings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked is not the last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "codings in two fields": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "a coding with a tab": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks with HTTP/1.0": b"POST /p HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded field": GET + b"X: a\r\n b\r\n\r\n",
    "a folded first field": b"GET / HTTP/1.1\r\n Host: t\r\n\r\n",
    "line feeds alone": b"GET / HTTP/1.1\nHost: t\n\n",
    "a line feed in a field": GET + b"X: a\nY: b\r\n\r\n",
    "a carriage return in a field": GET + b"X: a\rY: b\r\n\r\n",
    "NUL in a value": GET + b"X: a\x00b\r\n\r\n",
    "NUL in a name": GET + b"X\x00: a\r\n\r\n",
    "no name": GET + b": a\r\n\r\n",
    "no colon": GET + b"X\r\n\r\n",
    "a space in a name": GET + b"X Y: a\r\n\r\n",
    "NUL in the method": b"G\x00T / HTTP/1.1\r\nHost: t\r\n\r\n",
    "an unknown method": b"FOO / HTTP/1.1\r\nHost: t\r\n\r\n",
    "a method in small letters": b"get / HTTP/1.1\r\nHost: t\r\n\r\n",
    "no target": b"GET  HTTP/1.1\r\nHost: t\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: t\r\n\r\n",
    "no version": b"GET /\r\nHost: t\r\n\r\n",
    "a malformed version": b"GET / HTTP/1.x\r\nHost: t\r\n\r\n",
    "another version": b"GET / HTTP/2.0\r\nHost: t\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "CONNECT": b"CONNECT t:80 HTTP/1.1\r\nHost: t\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a chunk size that is none": CHUNKED + b"xyz\r\n",
    "a chunk size with 0x": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "a negative chunk size": CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n",
    "a huge chunk size": CHUNKED + b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "a chunk longer than said": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "chunks with line feeds": CHUNKED + b"3\nabc\n0\n\n",
    "a space before a chunk size": CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n",
    "a line feed in a chunk extension": CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pod(tmp_path_factory.mktemp("refused"), "mirroring:app") as started:
        yield started


@pytest.mark.parametrize("bad", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_malformed_is_refused(served: Served, bad: bytes) -> None:
    (response,) = exchange(served.port, bad + SMUGGLED)
    assert response.status == 400
    assert response.headers["connection"] == "close"


def test_pipelined_requests_are_responded_to_in_order(served: Served) -> None:
    requests = [b"GET /%d HTTP/1.1\r\nHost: t\r\n\r\n" % number for number in range(200)]
    last = b"GET /last HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
    responses = exchange(served.port, b"".join(requests) + last)
    assert [response.body for response in responses] == [*(b"GET /%d " % n for n in range(200)), b"GET /last "]


@pytest.mark.parametrize("method", [b"TRACE", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"])
def test_the_management_port_only_reads(served: Served, method: bytes) -> None:
    override = b"X-HTTP-Method-Override: GET\r\nX-Method-Override: GET\r\nX-HTTP-Method: GET\r\n"
    head = method + b" /state HTTP/1.1\r\nHost: t\r\nConnection: close\r\n" + override
    (response,) = exchange(served.management_port, head + b"\r\n")
    assert response.status == 405


FRAMES = {
    "without a mask": b"\x81\x05hello",
    "a reserved bit": b"\xb1\x80\x00\x00\x00\x00",
    "a reserved opcode": b"\x83\x80\x00\x00\x00\x00",
    "a control frame in parts": b"\x09\x80\x00\x00\x00\x00",
    "a long ping": b"\x89\xfe\x00\x7e\x00\x00\x00\x00" + b"x" * 126,
    "a continuation of nothing": b"\x80\x80\x00\x00\x00\x00",
    "text within text": b"\x01\x81\x00\x00\x00\x00a\x81\x81\x00\x00\x00\x00b",
    "text that is no UTF-8": b"\x81\x82\x00\x00\x00\x00\xc3\x28",
    "a close code that is none": b"\x88\x82\x00\x00\x00\x00\x00\x01",
    "half a close code": b"\x88\x81\x00\x00\x00\x00\x03",
    "a negative length": b"\x81\xff" + b"\xff" * 8 + b"\x00\x00\x00\x00",
    "more than 16 MiB": b"\x82\xff" + (17 * 1024 * 1024).to_bytes(8, "big") + b"\x00\x00\x00\x00",
}


HANDSHAKE = (
    GET
    + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
def test_a_bad_frame_closes_the_websocket(served: Served, frame: bytes) -> None:
    with raw(served.port) as connection:
        connection.send(HANDSHAKE + b"\r\n")
        response = connection.response()
        assert response is not None
        assert response.status == 101
        connection.send(frame)
        opcode, length = connection.read(2)
        assert opcode == 0x88, "a close frame"
        assert int.from_bytes(connection.read(length)[:2], "big") in (1002, 1007, 1009)


MIB = 1024 * 1024
BOMB_MIB = 400


def bomb() -> bytes:
    """400 MiB of zeros, deflated as one message of a WebSocket: 400 KB."""
    packer = zlib.compressobj(wbits=-15)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_SYNC_FLUSH)
    return (block * BOMB_MIB).removesuffix(b"\x00\x00\xff\xff")


def frames(content: bytes, size: int) -> list[bytes]:
    """A compressed binary message in frames of so many bytes at most."""
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    opcodes = [0x42, *[0x00] * (len(pieces) - 1)]
    opcodes[-1] |= 0x80
    mask = b"\x00\x00\x00\x00"
    return [
        bytes([opcode, 0xFF]) + len(piece).to_bytes(8, "big") + mask + piece
        for opcode, piece in zip(opcodes, pieces, strict=True)
    ]


@pytest.mark.parametrize("size", [100 * MIB, 10_000, 100], ids=["one frame", "some frames", "thousands of frames"])
def test_a_deflate_bomb_closes_the_websocket_and_takes_little_memory(served: Served, size: int) -> None:
    assert len(bomb()) < MIB
    (worker,) = served.ready_workers()
    Path(f"/proc/{worker}/clear_refs").write_text("5")  # forgets the peak of tests before
    before = peak_bytes(worker)
    with raw(served.port) as connection:
        connection.send(HANDSHAKE + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
        response = connection.response()
        assert response is not None
        assert response.headers["sec-websocket-extensions"].startswith("permessage-deflate")
        connection.send(b"".join(frames(bomb(), size)))
        opcode, length = connection.read(2)
        assert opcode == 0x88, "a close frame"
        assert int.from_bytes(connection.read(length)[:2], "big") == 1009
    assert peak_bytes(worker) - before < 80 * MIB
    assert served.get()[0] == 200
    assert served.ready_workers() == [worker]


def peak_bytes(process: int) -> int:
    """The most memory that a process has used."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
