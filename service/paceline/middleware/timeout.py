"""Gives up on a request without a response in time: 504, and its handler is cancelled."""

import asyncio
from collections.abc import Awaitable

from paceline.asgi import ASGIApp, Message, Receive, Scope, Send
from paceline.middleware.middleware import Middleware
from paceline.middleware.problem import send_problem


class TimeoutMiddleware(Middleware):
    """Bounds the time to the first byte; a response that has begun, and a WebSocket, may take as long as they like.

    A handler that runs in a thread cannot be cancelled: its 504 comes when the thread is done.
    """

    __slots__ = ("_app", "_seconds")

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        deadline = asyncio.timeout(self._seconds)
        begun = False

        def watch(message: Message) -> Awaitable[None]:
            nonlocal begun
            if not begun:
                begun = True
                if not deadline.expired():
                    deadline.reschedule(None)
            return send(message)

        try:
            async with deadline:
                await self._app(scope, receive, watch)
        except TimeoutError:
            if begun or not deadline.expired():
                raise  # the application's own
            detail = f"the request took longer than {self._seconds:g} s"
            await send_problem(scope, send, 504, "RequestTimeout", detail)
