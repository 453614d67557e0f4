"""How long the application took to begin its response: `X-Process-Time` in seconds, `Server-Timing` for browsers."""

from collections.abc import Awaitable, Callable
from time import perf_counter

from paceline.asgi import ASGIApp, Message, Receive, Scope, Send
from paceline.middleware.middleware import Middleware


class ProcessTimeMiddleware(Middleware):
    """Adds two headers to each response; those that the application sets stay beside them."""

    __slots__ = ("_app", "_clock")

    def __init__(self, app: ASGIApp, *, clock: Callable[[], float] = perf_counter) -> None:
        self._app = app
        self._clock = clock

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        started = self._clock()

        def timed(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                seconds = self._clock() - started
                ours = ((b"x-process-time", b"%.6f" % seconds), (b"server-timing", b"app;dur=%.3f" % (seconds * 1e3)))
                message = {**message, "headers": [*message.get("headers", ()), *ours]}
            return send(message)

        return self._app(scope, receive, timed)
