"""The layer that gives up on a request: what is cut off, what is not, and what the client is told."""

import asyncio
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from paceline.middleware.timeout import TimeoutMiddleware

SHORT = 0.01
START = {"type": "http.response.start", "status": 200, "headers": []}


async def call(app: Any, kind: str = "http") -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": kind, "method": "GET", "path": "/", "query_string": b"", "headers": [], "state": {}}
    scope["state"] = {"request_id": "r-9"}
    await app(scope, receive, send)
    return sent


class Stuck:
    """Never answers; remembers that it was cancelled."""

    cancelled = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def test_a_request_that_takes_too_long_is_cancelled_and_told_so() -> None:
    stuck = Stuck()
    start, body = await call(TimeoutMiddleware(stuck, seconds=SHORT))
    assert stuck.cancelled
    assert start["status"] == 504
    assert orjson.loads(body["body"]) == {
        "error": "RequestTimeout", "detail": "the request took longer than 0.01 s", "request_id": "r-9",
    }  # fmt: skip
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0, "the connection's task goes on"


async def test_a_handler_of_a_framework_is_cancelled_too() -> None:
    app, ended = FastAPI(), []

    @app.get("/")
    async def stuck() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    start, _ = await call(TimeoutMiddleware(app, seconds=SHORT))
    assert (start["status"], ended) == (504, [True])


async def test_a_response_that_has_begun_may_take_as_long_as_it_likes() -> None:
    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await asyncio.sleep(5 * SHORT)
        await send({"type": "http.response.body", "body": b"late"})

    assert [message["type"] for message in await call(TimeoutMiddleware(stream, seconds=SHORT))] == [
        "http.response.start",
        "http.response.body",
    ]


async def test_a_websocket_may_stay() -> None:
    async def chat(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(5 * SHORT)
        await send({"type": "websocket.close"})

    assert await call(TimeoutMiddleware(chat, seconds=SHORT), "websocket") == [{"type": "websocket.close"}]


async def test_a_timeout_of_the_applications_own_is_its_own() -> None:
    async def impatient(scope: Any, receive: Any, send: Any) -> None:
        raise TimeoutError("the database")

    with pytest.raises(TimeoutError, match="the database"):
        await call(TimeoutMiddleware(impatient, seconds=60))


async def test_who_cancels_the_request_is_obeyed() -> None:
    stuck = Stuck()
    task = asyncio.create_task(call(TimeoutMiddleware(stuck, seconds=60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stuck.cancelled


async def test_each_of_many_requests_has_its_own_deadline() -> None:
    stuck = [Stuck() for _ in range(3)]
    layer = TimeoutMiddleware(lambda scope, *_: stuck[scope["number"]](scope, *_), seconds=SHORT)
    statuses: list[int] = []

    async def request(number: int) -> None:
        async def send(message: Any) -> None:
            statuses.append(message.get("status", 0))

        await asyncio.sleep(number * SHORT / 8)  # all have come before the first is due
        await layer({"type": "http", "headers": [], "state": {}, "number": number}, None, send)  # type: ignore[arg-type]

    async with asyncio.timeout(5):
        await asyncio.gather(*map(request, range(3)))
    assert statuses == 3 * [504, 0]
    assert all(each.cancelled for each in stuck)


def test_a_second_loop_has_deadlines_too() -> None:
    layer = TimeoutMiddleware(Stuck(), seconds=SHORT)

    async def bounded() -> list[Any]:
        async with asyncio.timeout(5):
            return await call(layer)

    assert [asyncio.run(bounded())[0]["status"] for _ in range(2)] == [504, 504]


async def test_nothing_is_kept_of_requests_that_were_answered() -> None:
    async def at_once(scope: Any, receive: Any, send: Any) -> None:
        await send(START)

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        pass

    for app in (at_once, silent):
        layer = TimeoutMiddleware(app, seconds=60)
        await call(layer)
        assert layer._waiting is not None
        assert not layer._waiting.requests


async def test_a_response_to_the_cancellation_is_the_applications() -> None:
    async def polite(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await send(START)

    assert await call(TimeoutMiddleware(polite, seconds=SHORT)) == [START]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
