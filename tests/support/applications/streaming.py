"""Responses that never end, or end late, and handlers that outlive their clients, for the tests of the drain."""

import asyncio
import atexit
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket


def note(line: str) -> None:
    with Path(os.environ["STREAMING_NOTES"]).open("a") as notes:
        notes.write(f"{line}\n")


async def _ticks(media_type: str) -> AsyncIterator[str]:
    while True:
        yield "data: tick\n\n" if media_type == "text/event-stream" else '{"tick": 1}\n'
        await asyncio.sleep(0.1)


async def by_library(_: Request) -> Response:
    async def events() -> AsyncIterator[dict[str, Any]]:
        yield {"data": "tick"}
        await asyncio.Event().wait()

    return EventSourceResponse(events())


async def by_hand(request: Request) -> Response:
    media_type = request.query_params.get("type", "text/event-stream")
    return StreamingResponse(_ticks(media_type), media_type=media_type)


async def deaf(scope: Any, receive: Any, send: Any) -> None:
    """Never asks whether its client is still there."""
    headers = [(b"content-type", b"Text/Event-Stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    try:
        async for tick in _ticks("text/event-stream"):
            await send({"type": "http.response.body", "body": tick.encode(), "more_body": True})
    finally:
        note("deaf has ended")


async def words(request: Request) -> Response:
    async def some() -> AsyncIterator[str]:
        for number in range(20):
            yield f"data: {number}\n\n"
            await asyncio.sleep(0.15)

    return StreamingResponse(some(), media_type="text/event-stream")


async def flood(_: Request) -> Response:
    """More than any buffer holds."""

    async def events() -> AsyncIterator[bytes]:
        while True:
            yield b"data: tick" + b"k" * 100_000 + b"\n\n"
            await asyncio.sleep(0)

    return StreamingResponse(events(), media_type="text/event-stream")


async def flooded(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await websocket.send_text("tick" * 25_000)


async def early(_: Request) -> Response:
    """Responds without a look at the body."""
    return PlainTextResponse("early")


async def upload(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def until(request: Request) -> Response:
    """Answers once there is a file; `?forever` never."""
    path = Path(request.query_params.get("file", "/nowhere/at-all"))
    note("waiting")
    try:
        while not path.exists():  # noqa: ASYNC110 - the test is another process
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        note("cancelled")
        raise
    note("done")
    return PlainTextResponse("done")


async def listener(websocket: WebSocket) -> None:
    """Sends and never receives: it does not learn that its client is gone."""
    await websocket.accept()
    await websocket.send_text("hello")
    try:
        await asyncio.Event().wait()
    finally:
        note("listener has ended")


async def _ignoring_cancellation(name: str) -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            note(f"{name} ignores")


async def stubborn(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hello")
    await _ignoring_cancellation("handler")


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    found = signal.getsignal(signal.SIGTERM)

    def told(number: int, frame: Any) -> None:
        note("the application's own handler")
        if callable(found):
            found(number, frame)

    if "STREAMING_HANDLER" in os.environ:
        signal.signal(signal.SIGTERM, told)
    poller = None
    if "STREAMING_POLLER" in os.environ:
        poller = asyncio.create_task(_ignoring_cancellation("poller"))
        atexit.register(note, "the process ends by itself")
    yield
    del poller  # the loop holds but weak references to tasks


app = Starlette(
    routes=[
        Route("/library", by_library),
        Route("/by-hand", by_hand),
        Mount("/deaf", deaf),
        Route("/words", words, methods=["GET", "POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/until", until, methods=["GET", "POST"]),
        Route("/flood", flood),
        Route("/early", early, methods=["POST"]),
        WebSocketRoute("/listener", listener),
        WebSocketRoute("/flooded", flooded),
        WebSocketRoute("/stubborn", stubborn),
    ],
    lifespan=lifespan,
)
