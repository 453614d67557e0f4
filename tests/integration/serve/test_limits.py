"""What a pod does not take: bodies that are too large, declared or in chunks, and requests that take too long."""

import http.client
from collections.abc import Iterable

import orjson
from serving import Served, StartPod


def ask(pod: Served, path: str, *bodies: bytes | Iterable[bytes]) -> list[tuple[int, bytes]]:
    """Status and body of each answer, all on one connection: it stays usable."""
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


def test_nothing_is_limited_unasked(start_pod: StartPod) -> None:
    assert ask(start_pod("reading:app"), "/", b"x" * 300_000) == [(200, b"300000")]
