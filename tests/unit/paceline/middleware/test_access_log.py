"""What the access log is told of a request."""

import asyncio
from contextvars import ContextVar
from typing import Any
from unittest.mock import ANY

import pytest
from paceline.middleware.access_log import AccessLogMiddleware


async def call(app: Any, scope: dict[str, Any] | None = None) -> tuple[list[tuple[int, int, float]], list[Any]]:
    served: list[tuple[int, int, float]] = []
    sent: list[Any] = []
    ticks = iter(range(100))

    async def send(message: Any) -> None:
        sent.append(message)

    middleware = AccessLogMiddleware(app, write=lambda _, *told: served.append(told), clock=lambda: float(next(ticks)))
    try:
        await middleware(scope or {"type": "http"}, asyncio.Event().wait, send)  # type: ignore[arg-type]
    except ValueError:
        sent.append("raised")
    return served, sent


def responding(*bodies: bytes, status: int = 200, then: BaseException | None = None) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if status:
            await send({"type": "http.response.start", "status": status})
        for number, body in enumerate(bodies):
            await send({"type": "http.response.body", "body": body, "more_body": number < len(bodies) - 1})
        if then is not None:
            raise then

    return app


@pytest.mark.parametrize(
    ("app", "told"),
    [
        (responding(b"hello"), (200, 5, 1.0)),
        (responding(b"hel", b"lo", status=206), (206, 5, 1.0)),
        (responding(b"", status=204, then=ValueError()), (204, 0, 1.0)),
        (responding(status=0, then=ValueError()), (500, 0, 1.0)),
        (responding(status=0), (500, 0, 1.0)),
    ],
    ids=["plain", "in pieces", "background task fails", "raises", "no response"],
)
async def test_a_request_is_told_once(app: Any, told: tuple[int, int, float]) -> None:
    served, sent = await call(app)
    assert served == [told]
    assert len(sent) == len([each for each in sent if each == "raised" or "type" in each])


async def test_background_tasks_are_not_waited_for() -> None:
    """They may take minutes, and a worker that is killed would take the line with it."""
    served: list[tuple[int, int, float]] = []
    told_before: list[list[tuple[int, int, float]]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await responding(b"hel", b"lo")(scope, receive, send)
        told_before.append([*served])

    middleware = AccessLogMiddleware(app, write=lambda _, *told: served.append(told), clock=lambda: 0.0)
    await middleware({"type": "http"}, asyncio.Event().wait, lambda _: asyncio.sleep(0))  # type: ignore[arg-type]
    assert told_before == [[(200, 5, 0.0)]]
    assert len(served) == 1


async def test_a_response_that_breaks_off_is_told_at_its_end() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"hel", "more_body": True})
        raise ValueError

    assert await call(app) == ([(200, 3, 1.0)], [ANY, ANY, "raised"])


async def test_what_follows_the_last_part_is_not_told_again() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await responding(b"hello")(scope, receive, send)
        await send({"type": "http.response.body", "body": b"too late"})

    assert (await call(app))[0] == [(200, 5, 1.0)]


async def test_a_body_that_is_not_sent_is_not_counted() -> None:
    assert (await call(responding(b"hel", b"lo"), {"type": "http", "method": "HEAD"}))[0] == [(200, 0, 1.0)]
    assert (await call(responding(b"hello"), {"type": "http", "method": "GET"}))[0] == [(200, 5, 1.0)]


async def test_a_line_is_written_in_the_context_of_its_request() -> None:
    """Where the span of the request is the current one: the application may send from within spans of its own."""
    span, seen = ContextVar("span", default="none"), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        span.set("of the application")
        await responding(b"hello")(scope, receive, send)

    middleware = AccessLogMiddleware(app, write=lambda *_: seen.append(span.get()))
    span.set("of the request")
    await middleware({"type": "http"}, asyncio.Event().wait, lambda _: asyncio.sleep(0))  # type: ignore[arg-type]
    assert seen == ["of the request"]


async def test_a_client_that_left_is_no_error() -> None:
    class Cycle:
        disconnected, response_complete = True, False

        async def receive(self) -> Any: ...

    served: list[tuple[int, int, float]] = []
    middleware = AccessLogMiddleware(responding(status=0), write=lambda _, *told: served.append(told))
    await middleware({"type": "http"}, Cycle().receive, lambda _: asyncio.sleep(0))
    assert served[0][0] == 499


async def test_websockets_and_lifespan_pass() -> None:
    served, sent = await call(responding(b""), {"type": "websocket"})
    assert served == []
    assert len(sent) == 2
