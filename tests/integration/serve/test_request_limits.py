"""Limits on the head of a request and on waiting for a client, at the application's port and at the management port."""

import time
from collections.abc import Iterator

import orjson
import pytest
from raw_http import Response, exchange, raw
from serving import Served, pod

pytestmark = pytest.mark.invariant

HEAD_BYTES = 64 * 1024
GET = b"GET / HTTP/1.1\r\nHost: t\r\n"
LAST = GET + b"Connection: close\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: t\r\n"
SECONDS = 1.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("limits")
    limits = {"head_timeout_seconds": SECONDS, "body_timeout_seconds": SECONDS, "keepalive_seconds": 3}
    with pod(folder, "mirroring:app", **limits) as started:
        yield started


@pytest.fixture(params=["application", "management"])
def port(served: Served, request: pytest.FixtureRequest) -> int:
    return served.port if request.param == "application" else served.management_port


def only(responses: list[Response], status: int) -> None:
    """One response, which says what is wrong and that the connection ends."""
    assert [response.status for response in responses] == [status]
    assert responses[0].headers["connection"] == "close"
    assert orjson.loads(responses[0].body).keys() == {"error", "detail"}


def padded(size: int) -> bytes:
    """A GET whose head has so many bytes."""
    start, end = GET.replace(b"GET / ", b"GET /livez "), b"\r\nConnection: close\r\n\r\n"
    return start + b"X: " + b"x" * (size - len(start) - len("X: ") - len(end)) + end


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(padded(HEAD_BYTES), 200, id="as many bytes as allowed"),
        pytest.param(padded(HEAD_BYTES + 1), 431, id="one byte more"),
        pytest.param(padded(200 * 1024), 431, id="many more"),
        pytest.param(GET + b"Connection: close\r\n" + b"A: b\r\n" * 98 + b"\r\n", 200, id="as many fields as allowed"),
        pytest.param(GET + b"Connection: close\r\n" + b"A: b\r\n" * 99 + b"\r\n", 431, id="one field more"),
        pytest.param(GET + b"A: b\r\n" * 30_000, 431, id="endless fields"),
        pytest.param(b"GET /" + b"x" * (HEAD_BYTES + 1) + b" HTTP/1.1\r\nHost: t\r\n\r\n", 431, id="a long URL"),
        pytest.param(b"GET /" + b"x" * 90_000, 431, id="an endless URL"),
    ],
)
def test_the_head_is_bounded(port: int, head: bytes, status: int) -> None:
    (response,) = exchange(port, head.replace(b"GET / ", b"GET /livez "))
    assert response.status == status


@pytest.mark.parametrize("piece", [b"x" * 1000, b"A: b\r\n" * 10], ids=["one field", "many fields"])
def test_the_head_is_bounded_in_packets(port: int, piece: bytes) -> None:
    with raw(port) as connection:
        connection.send(GET, *([piece] * (200_000 // len(piece))), pause=0)
        only(connection.responses(), 431)


def test_a_huge_field_costs_no_time(served: Served) -> None:
    """100 MiB in one field: it is refused after the first 64 KiB, and others are served meanwhile."""
    with raw(served.port) as attacker, raw(served.port) as other:
        attacker.send(GET + b"X: ")
        began = time.monotonic()
        for _ in range(100):
            attacker.send(b"x" * 1024 * 1024)
        other.send(LAST)
        assert [response.status for response in other.responses()] == [200]
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(b"0\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", id="a huge trailer"),
        pytest.param(b"0\r\n" + b"A: b\r\n" * 20_000 + b"\r\n", id="many trailers"),
        pytest.param(b"1;" + b"x" * 100_000 + b"\r\na\r\n0\r\n\r\n", id="a huge chunk extension"),
        pytest.param(b"0" * 100_000 + b"1\r\na\r\n0\r\n\r\n", id="a huge chunk size"),
    ],
)
def test_chunks_hide_nothing_endless(served: Served, tail: bytes) -> None:
    responses = exchange(served.port, POST + b"Transfer-Encoding: chunked\r\n\r\n", tail)
    assert [response.status for response in responses] in ([431], [400])


def test_trailers_are_no_headers(served: Served) -> None:
    body = b"1\r\na\r\n0\r\nHost: other\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n"
    (response,) = exchange(served.port, POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert (response.status, response.body) == (200, b"POST /p a")


def lasts(port: int, *parts: bytes, pause: float = 0.05) -> tuple[list[Response], float]:
    """The responses, and how many seconds the connection stayed open after the last part."""
    with raw(port) as connection:
        connection.send(*parts, pause=pause)
        began = time.monotonic()
        return connection.responses(), time.monotonic() - began


@pytest.mark.parametrize("start", [b"", b"\r\n", b"G", GET, GET + b"X: y"])
def test_half_a_head_is_waited_for_only_so_long(port: int, start: bytes) -> None:
    responses, seconds = lasts(port, start)
    only(responses, 408)
    assert SECONDS / 2 < seconds < SECONDS + 2


def test_a_head_in_drops_has_no_more_time(port: int) -> None:
    responses, seconds = lasts(port, *(GET[place : place + 1] for place in range(20)), pause=0.2)
    only(responses, 408)
    assert seconds < SECONDS


def test_the_time_of_a_later_head_begins_with_its_first_byte(port: int) -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: t\r\n\r\n"
    with raw(port) as connection:
        for _ in range(2):
            connection.send(request)
            assert connection.response() is not None
            time.sleep(1.5 * SECONDS)
        connection.send(request[:20], request[20:])
        response = connection.response()
        assert response is not None
        assert response.status == 200
        connection.send(request[:20])
        only(connection.responses(), 408)


def test_an_idle_connection_ends_without_a_word(served: Served) -> None:
    with raw(served.port) as connection:
        connection.send(GET + b"\r\n")
        assert [response.status for response in connection.responses()] == [200]


@pytest.mark.parametrize("crumbs", [b"\r\n", b"\r\n\r\n"])
def test_line_ends_between_requests_keep_nothing_open(served: Served, crumbs: bytes) -> None:
    responses, seconds = lasts(served.port, GET + b"\r\n", crumbs)
    assert [response.status for response in responses] == [200, 408]
    assert seconds < SECONDS + 2


@pytest.mark.parametrize(
    "start",
    [
        b"Content-Length: 10\r\n\r\n",
        b"Content-Length: 10\r\n\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 10\r\n\r\nabc",
    ],
)
def test_half_a_body_is_waited_for_only_so_long(served: Served, start: bytes) -> None:
    responses, seconds = lasts(served.port, POST + start)
    only(responses, 408)
    assert SECONDS / 2 < seconds < SECONDS + 2


def test_a_slow_body_has_all_the_time_it_needs(served: Served) -> None:
    head = POST + b"Connection: close\r\nContent-Length: 10\r\n\r\n"
    responses, _ = lasts(served.port, head, *([b"x"] * 10), pause=0.3)
    assert [response.body for response in responses] == [b"POST /p xxxxxxxxxx"]


def test_a_body_that_nobody_reads_keeps_nothing_open(served: Served) -> None:
    early = b"POST /early HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\nabc"
    responses, seconds = lasts(served.port, early)
    assert [response.status for response in responses] == [200]
    assert seconds < SECONDS + 2


def test_a_connection_survives_a_response_before_a_short_body(served: Served) -> None:
    early = b"POST /early HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n"
    responses, _ = lasts(served.port, early, b"hello" + LAST)
    assert [response.body for response in responses] == [b"POST /early ", b"GET / "]


def test_a_response_without_leave_to_send_a_body_is_the_last(served: Served) -> None:
    """Whoever waits for `100 Continue` may send the body or the next request now: nobody could tell which."""
    early = b"POST /early HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n"
    (response,), _ = lasts(served.port, early, GET + b"\r\n")
    assert response.status == 200
    assert response.headers["connection"] == "close"


def test_leave_to_send_a_body_is_given_when_it_is_read(served: Served) -> None:
    with raw(served.port) as connection:
        connection.send(POST + b"Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n")
        leave = connection.response()
        assert leave is not None
        assert leave.status == 100
        connection.send(b"hello" + LAST)
        assert [response.body for response in connection.responses()] == [b"POST /p hello", b"GET / "]


def test_a_long_response_is_no_slow_client(served: Served) -> None:
    """Neither the body's nor the next head's time runs while the client waits for us."""
    slow = b"POST /p?seconds=2.5 HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello"
    responses, _ = lasts(served.port, slow + GET + b"\r\n" + LAST)
    assert [response.body for response in responses] == [b"POST /p hello", b"GET / ", b"GET / "]


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        pytest.param(b"BAD\r\n\r\n", 400, id="no request"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: t\r\nX: ", 408, id="half a head"),
        pytest.param(POST + b"Content-Length: 5\r\n\r\nab", 408, id="half a body"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, id="a bad chunk"),
    ],
)
def test_a_refusal_waits_for_the_responses_before_it(served: Served, bad: bytes, status: int) -> None:
    slow = b"GET /first?seconds=%.1f HTTP/1.1\r\nHost: t\r\n\r\n" % (1.5 * SECONDS)
    responses = exchange(served.port, slow * 2 + bad)
    assert [response.status for response in responses] == [200, 200, status]
    assert [response.body for response in responses[:2]] == [b"GET /first "] * 2


def test_nothing_is_said_after_the_last_response(served: Served) -> None:
    last = b"POST /p?seconds=0.3 HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 1\r\n\r\na"
    responses = exchange(served.port, last + b"GET / HTTP/1.1\r\nX : y\r\n\r\n")
    assert [response.status for response in responses] == [200]
    assert "after write_eof" not in served.stderr


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        (b"Host: api.example\r\n", 200),
        (b"Host: api.example:8000\r\n", 200),
        (b"Host: 10.0.0.1:80\r\n", 200),
        (b"Host: [::1]:8000\r\n", 200),
        (b"Host: my_service.prod\r\n", 200),
        (b"Host:   padded  \r\n", 200),
        (b"", 400),
        (b"Host: \r\n", 400),
        (b"Host: a\r\nHost: a\r\n", 400),
        (b"Host: a\r\nhost: b\r\n", 400),
        (b"Host: a, b\r\n", 400),
        (b"Host: a,b\r\n", 400),
        (b"Host: a b\r\n", 400),
        (b"Host: user@a\r\n", 400),
        (b"Host: http://a\r\n", 400),
        (b"Host: a/b\r\n", 400),
        (b"Host: a?b\r\n", 400),
        (b"Host: a#b\r\n", 400),
        (b"Host: a\\b\r\n", 400),
        (b"Host: a:b\r\n", 400),
        (b"Host: a:65536\r\n", 400),
        (b"Host: a:80:80\r\n", 400),
        (b"Host: [::1\r\n", 400),
        (b"Host: [1::2::3]\r\n", 400),
        (b"Host: ::1\r\n", 400),
        (b'Host: "a"\r\n', 400),
        (b"Host: <a>\r\n", 400),
        (b"Host: a%zz\r\n", 400),
        (b"Host: \xc3\xa4\r\n", 400),
        (b"Host: a\x00b\r\n", 400),
        (b"Host: a\tb\r\n", 400),
        (b"Host: " + b"a" * 256 + b"\r\n", 400),
    ],
)
def test_the_host_is_one_host(port: int, hosts: bytes, status: int) -> None:
    (response,) = exchange(port, b"GET /livez HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
    assert response.status == status


@pytest.mark.parametrize(("hosts", "status"), [(b"", 200), (b"Host: a\r\n", 200), (b"Host: a\r\nHost: b\r\n", 400)])
def test_http_1_0_needs_no_host(port: int, hosts: bytes, status: int) -> None:
    (response,) = exchange(port, b"GET /livez HTTP/1.0\r\n" + hosts + b"\r\n")
    assert response.status == status


def test_an_absolute_url_needs_a_host_as_well(served: Served) -> None:
    (without,) = exchange(served.port, b"GET http://t/x HTTP/1.1\r\n\r\n")
    (with_host,) = exchange(served.port, b"GET http://t/x HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
    assert (without.status, with_host.status) == (400, 200)
