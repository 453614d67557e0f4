"""Real sockets: a scripted server on loopback, and what the generator says about it."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from paceline.load.openloop import TIMED_OUT, OpenLoop, Plan
from paceline.load.results import Summary
from paceline.load.target import parse_target

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OK_LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
CALM = {"rate": 2.0, "seconds": 1.5}
"""Half a second of room for the last request: a busy machine may hold up any that is due at the very end."""
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@contextlib.asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in handlers:
            task.cancel()
        if handlers:
            await asyncio.wait(handlers)


class Server:
    """Answers every request with `answer`; remembers how many connections and requests came."""

    def __init__(self, answer: bytes = OK, *, delay: float = 0.0, requests_per_connection: int = 10**9) -> None:
        self.answer, self.delay, self.requests_per_connection = answer, delay, requests_per_connection
        self.connections = self.requests = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        for _ in range(self.requests_per_connection):
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            await asyncio.sleep(self.delay)
            writer.write(self.answer)


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def run(url: str, **plan: float) -> Summary:
    options = {"rate": 200.0, "seconds": 0.5, "connections": 8, **plan}
    return await OpenLoop(Plan(parse_target(url), **options)).run()  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", [OK, CHUNKED], ids=["an answer with a length", "a chunked answer"])
async def test_every_planned_request_is_sent_once_and_counted(answer: bytes) -> None:
    server = Server(answer)
    async with serving(server) as url:
        summary = await run(url)
    assert (summary.planned, summary.total.succeeded, server.requests) == (100, 100, 100)
    assert summary.total.failed == 0
    assert server.connections == 8, "connections must be kept alive, and all of them used"


async def test_a_run_that_kept_its_rate_without_a_failure_has_succeeded() -> None:
    async with serving(Server()) as url:
        summary = await run(url, **CALM)
    assert summary.kept_rate
    assert summary.succeeded


async def test_latency_counts_from_the_intended_start() -> None:
    stall = asyncio.Event()

    async def stalling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await stall.wait()
            writer.write(OK)

    async with serving(stalling) as url:
        asyncio.get_running_loop().call_later(0.5, stall.set)
        summary = await run(url, seconds=1.0, connections=1)
    # One connection: timed from the actual send, only the first of 200 requests would look slow.
    assert summary.total.p50 is not None
    assert summary.p90 is not None
    assert summary.p90 > 0.3
    assert summary.total.failed == 0


async def test_failures_of_the_server_are_counted_by_kind() -> None:
    async with serving(Server(UNAVAILABLE)) as url:
        summary = await run(url)
    assert summary.total.failures == {"HTTP 503": 100}
    assert not summary.succeeded


async def test_one_failure_among_many_answers_is_no_success() -> None:
    server = Server()

    async def one_fails(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            server.requests += 1
            writer.write(UNAVAILABLE if server.requests == 2 else OK)

    async with serving(one_fails) as url:
        summary = await run(url, **CALM)
    assert (summary.total.succeeded, summary.total.failures) == (2, {"HTTP 503": 1})
    assert summary.kept_rate
    assert not summary.succeeded


async def test_a_request_that_got_no_answer_is_a_failure_and_is_not_repeated() -> None:
    requests = 0

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await reader.readuntil(b"\r\n\r\n")
        requests += 1

    async with serving(silent) as url:
        summary = await run(url)
    assert summary.total.failures == {"connection closed without a response": 100}
    assert requests == 100


async def test_an_answer_that_breaks_off_is_a_failure() -> None:
    async def breaking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK[:-1])

    async with serving(breaking) as url:
        summary = await run(url, rate=20)
    assert summary.total.failures == {"connection closed without a response": 10}


async def test_an_answer_that_is_not_http_is_a_failure() -> None:
    async with serving(Server(b"220 smtp ready\r\n")) as url:
        summary = await run(url, rate=20)
    assert summary.total.failures == {"response is not HTTP": 10}


@pytest.mark.parametrize(
    ("answer", "requests_per_connection"),
    [(OK_LAST, 10**9), (OK, 1)],
    ids=["the server announces the close", "the server closes when idle"],
)
async def test_a_connection_closed_between_requests_is_reopened(answer: bytes, requests_per_connection: int) -> None:
    server = Server(answer, requests_per_connection=requests_per_connection)
    async with serving(server) as url:
        summary = await run(url, rate=50)
    assert summary.total.succeeded == server.requests == server.connections == 25
    assert summary.total.failed == 0


async def test_nobody_listening_fails_every_request_without_hanging() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        summary = await run(f"http://127.0.0.1:{free.getsockname()[1]}/")
    assert summary.total.failures == {"cannot connect: ConnectionRefusedError": 100}


async def test_a_request_without_an_answer_in_time_fails_wherever_it_waits() -> None:
    async with serving(Server(delay=60)) as url:
        summary = await run(url, rate=20, connections=2, timeout_seconds=0.3)
    assert summary.total.failures == {TIMED_OUT: 10}
    assert summary.total.seconds < 30


async def test_a_shortage_of_connections_is_reported_as_a_rate_not_kept() -> None:
    async with serving(Server(delay=0.1)) as url:
        summary = await run(url, rate=100, connections=2)
    assert summary.total.succeeded == 50
    assert not summary.kept_rate
    assert not summary.succeeded


async def test_a_window_holds_what_happened_since_the_last_one() -> None:
    server = Server()
    async with serving(server) as url:
        load = OpenLoop(Plan(parse_target(url), rate=200))
        running = asyncio.create_task(load.run())
        await until(lambda: server.requests >= 20 and not load.outstanding)
        first = load.window()
        server.answer, so_far = UNAVAILABLE, server.requests
        await until(lambda: server.requests >= so_far + 40)
        load.stop()
        summary = await running
        second = load.window()
    assert first.failed == 0
    assert first.succeeded >= 20
    assert second.failed > 0
    assert first.succeeded + second.succeeded == summary.total.succeeded
    assert first.failed + second.failed == summary.total.failed
    assert summary.total.succeeded + summary.total.failed == summary.planned


async def test_connections_are_replaced_when_they_are_old() -> None:
    server = Server()
    async with serving(server) as url:
        summary = await run(url, connections=4, connection_seconds=0.1)
    assert 8 <= server.connections < 100, "every one at least once, and not for each request"
    assert summary.total.failed == 0


async def test_cancelling_a_run_closes_its_connections() -> None:
    ended = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        running.cancel()
        assert await reader.read() == b""
        ended.set()

    async with serving(silent) as url:
        running = asyncio.create_task(run(url, rate=10, seconds=60))
        with pytest.raises(asyncio.CancelledError):
            await running
        async with asyncio.timeout(30):
            await ended.wait()


async def test_a_generator_that_was_held_up_says_so() -> None:
    async with serving(Server()) as url:
        asyncio.get_running_loop().call_later(0.2, time.sleep, 0.2)
        summary = await run(url)
    assert 0.15 < summary.total.late < 10
    assert summary.total.succeeded == 100


async def test_stopped_while_swamped_it_gets_responses_to_what_is_on_its_way_and_sends_no_more() -> None:
    server = Server(delay=0.3)
    async with serving(server) as url:
        load = OpenLoop(Plan(parse_target(url), rate=200, seconds=60.0, connections=2))
        running = asyncio.create_task(load.run())
        await until(lambda: load.outstanding > 40)
        sent = server.requests
        load.stop()
        summary = await running
    assert load.stopped
    assert summary.total.failed == 0
    assert server.requests <= sent + 2
    assert summary.planned == summary.total.succeeded == server.requests
