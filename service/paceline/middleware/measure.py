"""Times every HTTP request once, for the statistics and for the trace alike.

One layer does both, because a layer of its own costs as much as either. It never buffers, changes or delays a message,
and lets every exception through. Lifespan and WebSocket scopes pass untouched.
"""

from collections.abc import Awaitable, Callable
from math import inf
from time import perf_counter

from paceline.middleware.asgi import ASGIApp, Message, Receive, Scope, Send
from paceline.telemetry.requests import RequestStats
from paceline.telemetry.server_span import Outcome
from paceline.telemetry.tracing import Tracing


class MeasureRequests:
    """Records duration and outcome of each request; hands the ones worth a span to `Tracing`."""

    __slots__ = ("_app", "_generation", "_requests", "_slow", "_tracing")

    def __init__(
        self, app: ASGIApp, *, requests: RequestStats, tracing: Tracing, generation: Callable[[], int]
    ) -> None:
        self._app = app
        self._requests = requests
        self._tracing = tracing if tracing.enabled else None
        self._slow = tracing.slow_seconds if tracing.enabled else inf
        self._generation = generation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        status = 0
        answered = 0.0

        # Not a coroutine function: it hands on the awaitable of the inner `send`, which spares a frame a message.
        def watch(message: Message) -> Awaitable[None]:
            nonlocal status, answered
            if not status:
                if message["type"] == "http.response.start":
                    status = message["status"]
            elif not answered:
                # The first body message: the end of a plain answer, the first byte of a stream. What follows
                # (the rest of a stream, background tasks) is no latency of the answer.
                answered = perf_counter()
            return send(message)

        requests, tracing = self._requests, self._tracing
        trace = tracing.begin(scope, self._generation) if tracing is not None else None
        failure: BaseException | None = None
        requests.in_flight += 1
        started = perf_counter()
        try:
            await self._app(scope, receive, watch)
        except BaseException as error:
            failure = error
            raise
        finally:
            ended = answered or perf_counter()
            seconds = ended - started
            requests.in_flight -= 1
            failed = failure is not None or not 0 < status < 500
            requests.record(scope, seconds, failed)
            if tracing is not None and (trace is not None or failed or seconds > self._slow):
                tracing.end(scope, trace, Outcome(status, started, ended, failure), self._generation)
