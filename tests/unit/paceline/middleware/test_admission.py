"""The admission layer: who passes, who is told no, and what the application notices of it."""

import asyncio
from typing import Any

import orjson
import pytest
from paceline.document.tunables import AdmissionValues
from paceline.middleware import instrument
from paceline.middleware.admission import AdmissionMiddleware
from paceline.resources.admission.limiter import Admission
from paceline.settings import MiddlewareSettings, TelemetrySettings
from paceline.telemetry.requests import RequestStats
from paceline.telemetry.tracing import Tracing

START = {"type": "http.response.start", "status": 200, "headers": []}
PEER = {"client": ("127.0.0.1", 5000), "scheme": "http"}
BODY = {"type": "http.response.body", "body": b"whole"}


class Slow:
    """Answers when it is let; knows how many it works on."""

    def __init__(self) -> None:
        self.working = self.most = 0
        self.open = asyncio.Event()
        self.more = False
        self.ended = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.working += 1
        self.most = max(self.most, self.working)
        await self.open.wait()
        self.working -= 1
        await send(dict(START))
        await send({**BODY, "more_body": self.more})
        if self.more:
            await self.ended.wait()


def scope(kind: str = "http", **more: Any) -> dict[str, Any]:
    return {"type": kind, "method": "GET", "path": "/", "headers": [(b"x-request-id", b"r-1")], **PEER, **more}


async def call(app: Any, given: dict[str, Any] | None = None) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    await app(scope() if given is None else given, receive, send)
    return sent


@pytest.fixture
def slow() -> Slow:
    return Slow()


async def test_while_off_the_application_is_called_as_if_nothing_stood_before_it(slow: Slow) -> None:
    layer = AdmissionMiddleware(slow, admission=Admission())
    slow.open.set()
    awaitable = layer.handle(scope(), None, None)  # type: ignore[arg-type]
    assert awaitable.cr_code is Slow.__call__.__code__  # type: ignore[attr-defined]
    awaitable.close()  # type: ignore[attr-defined]


async def test_above_the_limit_a_request_is_told_no_at_once_and_counted_apart(slow: Slow) -> None:
    admission, stats = Admission(), RequestStats()
    tracing = Tracing(TelemetrySettings())
    app = instrument(
        slow, MiddlewareSettings(), requests=stats, tracing=tracing, generation=lambda: 1, admission=admission
    )
    admission.set_bounds(AdmissionValues(2, 2))
    calls = [asyncio.create_task(call(app)) for _ in range(5)]
    await asyncio.sleep(0)
    refused = [one.result() for one in calls if one.done()]
    assert len(refused) == 3
    start, body = refused[0]
    assert (start["status"], (b"retry-after", b"1") in start["headers"]) == (503, True)
    problem = orjson.loads(body["body"])
    assert (problem["error"], problem["request_id"], set(problem)) == (
        "Overloaded", "r-1", {"error", "detail", "request_id"},
    )  # fmt: skip
    slow.open.set()
    assert [(await one)[0]["status"] for one in calls].count(200) == 2
    assert slow.most == 2
    [row] = stats.report()
    assert (row["count"], row["errors"]) == (2, 0)
    assert (admission.rejected, admission.in_flight) == (3, 0)
    assert (await call(app))[0]["status"] == 200


async def test_a_stream_holds_its_place_until_the_first_byte(slow: Slow) -> None:
    admission = Admission()
    admission.set_bounds(AdmissionValues(1, 1))
    app = AdmissionMiddleware(slow, admission=admission)
    slow.more = True
    slow.open.set()
    stream = asyncio.create_task(call(app))
    await asyncio.sleep(0)
    assert not stream.done()
    assert admission.in_flight == 0
    slow.ended.set()
    await stream
    assert admission.in_flight == 0


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_what_is_not_http_passes(slow: Slow, kind: str) -> None:
    admission = Admission()
    admission.set_bounds(AdmissionValues(1, 1))
    assert admission.admit() is not None
    slow.open.set()
    await call(AdmissionMiddleware(slow, admission=admission), scope(kind))
    assert (admission.in_flight, admission.rejected) == (1, 0)


async def test_a_place_comes_back_whatever_becomes_of_the_request() -> None:
    admission = Admission()
    admission.set_bounds(AdmissionValues(1, 1))

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("broken")

    async def for_ever(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError):
        await call(AdmissionMiddleware(broken, admission=admission))
    assert admission.in_flight == 0
    task = asyncio.create_task(call(AdmissionMiddleware(for_ever, admission=admission)))
    await asyncio.sleep(0)
    assert admission.in_flight == 1
    task.cancel()
    await asyncio.wait([task])
    assert admission.in_flight == 0
