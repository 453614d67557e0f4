"""One line for each HTTP request, once its response is complete: background tasks of the request are not waited for.

Off, it is not there and costs nothing.

Stands behind the proxies and the request id, so that a line names the client; what is turned away further out, by the
admission limit or because it is no HTTP, has none. Neither have WebSockets.
"""

from collections.abc import Awaitable, Callable
from contextvars import copy_context
from time import perf_counter
from typing import Protocol

from paceline.asgi import ASGIApp, Message, Receive, Scope, Send
from paceline.middleware.client import client_left
from paceline.middleware.middleware import Middleware

_CLIENT_LEFT = 499  # as nginx and others say it


class Write(Protocol):
    """Takes one request whose response is complete, or that ended without."""

    def __call__(self, scope: Scope, status: int, body_bytes: int, seconds: float, /) -> None:
        """`status` is 499 where the client left before there was one."""


class AccessLogMiddleware(Middleware):
    """Hands each request to `write`, with what became of it."""

    __slots__ = ("_app", "_clock", "_write")

    def __init__(self, app: ASGIApp, *, write: Write, clock: Callable[[], float] = perf_counter) -> None:
        self._app = app
        self._write = write
        self._clock = clock

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        clock = self._clock
        context = copy_context()  # the application may send from within spans of its own
        status = size = 0
        is_told = False

        def watch(message: Message) -> Awaitable[None]:
            nonlocal status, size, is_told
            if not status:
                status = message.get("status", 0)
            elif not is_told:
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    is_told = True
                    context.run(self._write, scope, status, _sent(scope, size), clock() - started)
            return send(message)

        started = clock()
        try:
            await self._app(scope, receive, watch)
        finally:
            if not is_told:
                status = status or (_CLIENT_LEFT if client_left(receive) else 500)
                self._write(scope, status, _sent(scope, size), clock() - started)


def _sent(scope: Scope, size: int) -> int:
    """The server drops the body of a response to HEAD."""
    return 0 if scope.get("method") == "HEAD" else size
