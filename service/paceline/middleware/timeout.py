"""Gives up on a request without a response in time: 504, and its handler is cancelled."""

import asyncio
from collections.abc import Awaitable
from itertools import takewhile
from typing import Any

from paceline.asgi import ASGIApp, Message, Receive, Scope, Send
from paceline.middleware.middleware import Middleware
from paceline.middleware.problem import send_problem


class TimeoutMiddleware(Middleware):
    """Bounds the time to the first byte; a response that has begun, and a WebSocket, may take as long as they like.

    A handler that runs in a thread cannot be cancelled: its 504 comes when the thread is done.
    """

    __slots__ = ("_app", "_seconds", "_waiting")

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._waiting: _Waiting | None = None

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        return self._bounded(scope, receive, send)

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = _Request(self._waiting_here(), send)
        cancelled = None
        try:
            await self._app(scope, receive, request.send)
        except asyncio.CancelledError as error:
            if not request.expired:
                raise
            cancelled = error
        finally:
            others = request.end()
        if cancelled is None:
            return
        if others:
            raise cancelled
        detail = f"the request took longer than {self._seconds:g} s"
        if request.begun:
            raise TimeoutError(detail) from cancelled
        await send_problem(scope, send, 504, "RequestTimeout", detail)

    def _waiting_here(self) -> "_Waiting":
        loop = asyncio.get_running_loop()
        if self._waiting is None or self._waiting.loop is not loop:
            self._waiting = _Waiting(loop, self._seconds)
        return self._waiting


class _Waiting:
    """The requests of one loop whose response has not begun, oldest first, which is the order they are due in.

    They share one timer, set for the oldest of them: a timer for each costs more than all else that is done here.
    """

    __slots__ = ("_seconds", "_timer", "loop", "requests")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self.loop = loop
        self.requests: dict[_Request, float] = {}
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def add(self, request: "_Request") -> None:
        due = self.requests[request] = self.loop.time() + self._seconds
        if self._timer is None:
            self._timer = self.loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self.loop.time()
        for request in [each for each, _ in takewhile(lambda item: item[1] <= now, self.requests.items())]:
            del self.requests[request]
            request.expire()
        oldest = next(iter(self.requests.values()), None)
        if oldest is not None:
            self._timer = self.loop.call_at(oldest, self._look)


class _Request:
    """One request, from its arrival to the first message of its response."""

    __slots__ = ("_cancelling", "_send", "_task", "_waiting", "begun", "expired")

    def __init__(self, waiting: _Waiting, send: Send) -> None:
        task = asyncio.current_task(waiting.loop)
        assert task is not None  # only a task can await the application
        self._task: asyncio.Task[Any] = task
        self._cancelling = task.cancelling()
        self._send = send
        self._waiting = waiting
        self.begun = self.expired = False
        waiting.add(self)

    def send(self, message: Message) -> Awaitable[None]:
        if not self.begun:
            self.begun = True
            self._waiting.requests.pop(self, None)
        return self._send(message)

    def expire(self) -> None:
        self.expired = True
        self._task.cancel()

    def end(self) -> bool:
        """Takes our cancellation back, if there was one; true: somebody else cancels the task, too."""
        if not self.begun:
            self._waiting.requests.pop(self, None)
        return self.expired and self._task.uncancel() > self._cancelling
