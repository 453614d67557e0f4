"""The measuring layer: what it records, and that nobody notices it."""

import asyncio
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import pytest
from paceline.asgi import ASGIApp
from paceline.middleware import instrument
from paceline.middleware.measure import MeasureMiddleware
from paceline.settings import MiddlewareSettings, TelemetrySettings
from paceline.telemetry.logs import current_request
from paceline.telemetry.requests import RequestStats
from paceline.telemetry.tracing import Tracing

START = {"type": "http.response.start", "status": 200, "headers": [(b"x-kept", b"1")]}
BODY = {"type": "http.response.body", "body": b"whole"}


def scope(**more: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/", "scheme": "http", "headers": [], **more}


def answering(*messages: dict[str, Any]) -> ASGIApp:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(dict(message))

    return app


@pytest.fixture(params=["tracing off", "nobody drawn", "everybody drawn"])
def tracing(request: pytest.FixtureRequest, traced: Callable[..., Any]) -> Iterator[Tracing]:
    """The layer must be as transparent in each of its ways."""
    if request.param == "tracing off":
        yield Tracing(TelemetrySettings())
    else:
        yield traced(draw=lambda: 0.0 if request.param == "everybody drawn" else 1.0).tracing


class Client:
    """Calls an instrumented application and keeps what it sends."""

    def __init__(self, app: ASGIApp, tracing: Tracing, clock: Callable[[], float] = perf_counter) -> None:
        self.stats = RequestStats()
        self.app = MeasureMiddleware(app, requests=self.stats, tracing=tracing, generation=lambda: 17, clock=clock)
        self.sent: list[Any] = []

    async def call(self, **more: Any) -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            self.sent.append(message)

        await self.app(scope(**more), receive, send)

    @property
    def row(self) -> dict[str, Any]:
        [row] = self.stats.report()
        return row


async def test_messages_pass_unchanged_and_in_order(tracing: Tracing) -> None:
    messages = [START, {**BODY, "more_body": True}, BODY, {"type": "http.response.trailers", "headers": []}]
    client = Client(answering(*messages), tracing)
    await client.call()
    assert client.sent == messages


async def test_streams_are_not_buffered(tracing: Tracing) -> None:
    seen: list[int] = []

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send(dict(START))
        for _ in range(3):
            await send({**BODY, "more_body": True})
            seen.append(len(client.sent))
        await send(dict(BODY))

    client = Client(stream, tracing)
    await client.call()
    assert seen == [2, 3, 4], "each chunk was out before the next was made"


async def test_exceptions_of_the_application_pass(tracing: Tracing) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("shop")

    client = Client(broken, tracing)
    with pytest.raises(KeyError, match="shop"):
        await client.call()
    assert (client.row["count"], client.row["errors"], client.stats.in_flight) == (1, 1, 0)


async def test_exceptions_of_the_server_reach_the_application(tracing: Tracing) -> None:
    caught = []

    async def careful(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send(dict(START))
        except OSError as error:
            caught.append(str(error))

    async def gone(message: Any) -> None:
        raise OSError("connection lost")

    stats = RequestStats()
    app = instrument(careful, MiddlewareSettings(), requests=stats, tracing=tracing, generation=lambda: 1)
    await app(scope(), _nothing, gone)
    assert caught == ["connection lost"]


async def test_cancellation_passes_and_counts_as_failed(tracing: Tracing) -> None:
    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    client = Client(endless, tracing)
    call = asyncio.create_task(client.call())
    await asyncio.sleep(0)
    assert client.stats.in_flight == 1
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (client.row["errors"], client.stats.in_flight) == (1, 0)


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_other_scopes_reach_the_application_as_they_are(kind: str, tracing: Tracing) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    given = {"type": kind, "path": "/live"}
    stats = RequestStats()
    await instrument(app, MiddlewareSettings(), requests=stats, tracing=tracing, generation=lambda: 1)(
        given, _nothing, _swallow
    )
    assert seen == [(given, _nothing, _swallow)]
    assert stats.report() == []


@pytest.mark.parametrize(
    ("messages", "errors"),
    [
        pytest.param([START, BODY], 0, id="200 is fine"),
        pytest.param([{**START, "status": 404}, BODY], 0, id="404 is the client's fault"),
        pytest.param([{**START, "status": 499}, BODY], 0, id="so is 499"),
        pytest.param([{**START, "status": 500}, BODY], 1, id="500 is a failure"),
        pytest.param([{**START, "status": 503}, BODY], 1, id="so is 503"),
        pytest.param([], 1, id="no response is a failure"),
        pytest.param(
            [{"type": "http.response.early_hint", "links": []}, START, BODY], 0, id="an early hint is no response yet"
        ),
    ],
)
async def test_what_counts_as_failed(messages: list[dict[str, Any]], errors: int, tracing: Tracing) -> None:
    client = Client(answering(*messages), tracing)
    await client.call()
    assert (client.row["count"], client.row["errors"]) == (1, errors)


class Clock:
    """Stands still; the application moves it."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_plain_answer_takes_until_its_end_without_background_tasks(clock: Clock, tracing: Tracing) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        clock.now += 0.25
        await send(dict(START))
        clock.now += 0.25
        await send(dict(BODY))
        clock.now += 60  # a background task

    client = Client(app, tracing, clock)
    await client.call()
    assert client.row["duration"]["sum"] == 0.5


async def test_a_stream_takes_until_its_first_byte(clock: Clock, tracing: Tracing) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(dict(START))
        clock.now += 0.5
        await send({**BODY, "more_body": True})
        clock.now += 60
        await send(dict(BODY))

    client = Client(app, tracing, clock)
    await client.call()
    assert client.row["duration"]["sum"] == 0.5


async def test_streams_and_web_sockets_are_counted_while_they_are_open(tracing: Tracing) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in (START, *[{**BODY, "more_body": True}] * 3, BODY):
            await send(dict(message))
            seen.append((client.stats.streams, client.stats.web_sockets))
        if scope["path"] == "/gone":
            raise ConnectionError

    client = Client(app, tracing)
    await client.call()
    assert seen == [(0, 0), (0, 0), (1, 0), (1, 0), (1, 0)], "from the second part on"

    with pytest.raises(ConnectionError):
        await client.call(path="/gone")
    await client.call(type="websocket")
    await client.call(type="lifespan")
    assert seen[10:] == [(0, 1)] * 5 + [(0, 0)] * 5
    assert (client.stats.streams, client.stats.web_sockets) == (0, 0)


async def test_a_failure_takes_until_it_happens(clock: Clock, tracing: Tracing) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        clock.now += 0.5
        raise KeyError("shop")

    client = Client(app, tracing, clock)
    with pytest.raises(KeyError, match="shop"):
        await client.call()
    assert client.row["duration"]["sum"] == 0.5


async def test_the_request_is_known_to_the_log_while_it_runs(tracing: Tracing) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(current_request.get() is scope)

    await Client(app, tracing).call()
    assert seen == [True]
    assert current_request.get() is None


async def test_requests_side_by_side_are_in_flight_together(tracing: Tracing) -> None:
    gate = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await gate.wait()
        await answering(START, BODY)(scope, receive, send)

    client = Client(app, tracing)
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(client.call())
        await asyncio.sleep(0)
        assert client.stats.in_flight == 10
        gate.set()
    assert (client.stats.in_flight, client.row["count"]) == (0, 10)


async def _nothing() -> Any:
    raise AssertionError("nothing to receive")


async def _swallow(message: Any) -> None:
    pass
