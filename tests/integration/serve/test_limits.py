"""What a pod does not take: bodies that are too large, declared or in chunks, and requests that take too long."""

import http.client
from collections.abc import Iterable

import orjson
import psutil
import pytest
from raw_http import raw
from serving import Served, StartPod


def ask(pod: Served, path: str, *bodies: bytes | Iterable[bytes]) -> list[tuple[int, bytes]]:
    """Status and body of each response."""
    connection = http.client.HTTPConnection("127.0.0.1", pod.port, timeout=30)
    answers = []
    for body in bodies:
        connection.request("POST", path, body, encode_chunked=not isinstance(body, bytes))
        answer = connection.getresponse()
        answers.append((answer.status, answer.read()))
    connection.close()
    return answers


def test_what_is_too_large_or_too_slow_is_refused(start_pod: StartPod) -> None:
    pod = start_pod("reading:app", max_body_bytes=1000, request_timeout_seconds=3, request_id=True)
    fits, large, chunks, after = ask(pod, "/", b"x" * 1000, b"x" * 1001, iter([b"x" * 600, b"x" * 600]), b"xyz")
    assert (fits, after) == ((200, b"1000"), (200, b"3"))
    assert [status for status, _ in (large, chunks)] == [413, 413]
    assert {orjson.loads(body)["error"] for _, body in (large, chunks)} == {"ContentTooLarge"}

    (stuck,) = ask(pod, "/stuck", b"")
    assert stuck[0] == 504
    assert orjson.loads(stuck[1])["error"] == "RequestTimeout"
    assert len(orjson.loads(stuck[1])["request_id"]) == 32


LARGE = 300 * 1024 * 1024


@pytest.mark.invariant
@pytest.mark.parametrize("framing", [b"Content-Length: %d\r\n\r\n" % LARGE, b"Transfer-Encoding: chunked\r\n\r\n"])
def test_a_huge_body_is_refused_unasked_and_not_read(start_pod: StartPod, framing: bytes) -> None:
    """300 MiB: the worker takes no memory for it, and most of it is never sent."""
    pod = start_pod("reading:app")
    (worker,) = pod.ready_workers()
    before = psutil.Process(worker).memory_info().rss
    piece = b"x" * 1024 * 1024
    chunk = piece if framing.startswith(b"Content-Length") else b"100000\r\n%b\r\n" % piece
    with raw(pod.port) as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: t\r\n" + framing)
        sent = connection.send_until_closed(chunk, times=300)
        responses = connection.responses()
    assert [response.status for response in responses] == [413]
    assert responses[0].headers["connection"] == "close"
    assert orjson.loads(responses[0].body)["error"] == "ContentTooLarge"
    assert sent < 100
    assert psutil.Process(worker).memory_info().rss - before < 80 * 1024 * 1024


@pytest.mark.invariant
def test_a_route_may_have_a_limit_of_its_own(start_pod: StartPod) -> None:
    limits = "/files/{name}=3000, /free/*=0, /files/*=10"
    pod = start_pod("reading:app", max_body_bytes=1000, body_limits=limits)
    statuses = {
        path: [status for status, _ in ask(pod, path, b"x" * 1001, b"x" * 3001, iter([b"x" * 1001]))]
        for path in ("/", "/files/a", "/files/a/b", "/free/a/b")
    }
    assert statuses == {
        "/": [413, 413, 413],
        "/files/a": [200, 413, 200],
        "/files/a/b": [413, 413, 413],
        "/free/a/b": [200, 200, 200],
    }


def test_a_body_of_ordinary_size_is_limited_by_nothing(start_pod: StartPod) -> None:
    assert ask(start_pod("reading:app"), "/", b"x" * 30_000_000) == [(200, b"30000000")]
