"""Turns requests away while the worker has all that it can work on: better a quick refusal than a late response.

Stands in front of MeasureMiddleware, so that requests turned away count neither as errors nor as durations. WebSockets
pass: they are held open, not worked on.
"""

from collections.abc import Awaitable
from typing import Final

from paceline.asgi import ASGIApp, Message, Receive, Scope, Send
from paceline.middleware.client import client_left
from paceline.middleware.middleware import Middleware
from paceline.middleware.problem import send_problem
from paceline.resources.admission.limiter import Admission

RETRY_AFTER: Final = [(b"retry-after", b"1")]
"""Seconds; the limit is found anew each second."""


async def send_overloaded(scope: Scope, receive: Receive, send: Send) -> None:
    """The application of those that are turned away."""
    detail = "the server has as many requests as it can work on; try again in a second"
    await send_problem(scope, send, 503, "Overloaded", detail, RETRY_AFTER)


class AdmissionMiddleware(Middleware):
    """Responds 503 with `Retry-After` above the limit. While admission is off it costs one comparison."""

    __slots__ = ("_admission", "_app", "_refusal")

    def __init__(self, app: ASGIApp, *, admission: Admission, refusal: ASGIApp | None = None) -> None:
        """`refusal` responds to those that are turned away, in the application's place."""
        self._app = app
        self._admission = admission
        self._refusal = send_overloaded if refusal is None else refusal

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        admission = self._admission
        if not admission.on or scope["type"] != "http":
            return self._app(scope, receive, send)
        began = admission.admit()
        if began is None:
            return self._refusal(scope, receive, send)
        return self._admitted(began, scope, receive, send)

    async def _admitted(self, began: float, scope: Scope, receive: Receive, send: Send) -> None:
        admission = self._admission
        status, responded = 0, False

        def watch(message: Message) -> Awaitable[None]:
            nonlocal status, responded
            if not status:
                if message["type"] == "http.response.start":
                    status = message["status"]
            elif not responded:
                # As MeasureMiddleware counts: the end of a plain response, the first byte of a stream. What the
                # application does afterwards, nobody waits for.
                responded = True
                admission.finish(began, failed=status >= 500 and not client_left(receive))
            return send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            if not responded:
                admission.finish(began, failed=not client_left(receive))
