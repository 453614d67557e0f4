"""Times every HTTP request once, for the statistics and for the trace alike.

One middleware does both, because a second one would cost as much again. It never buffers, changes or delays a message,
and lets every exception through. WebSockets are counted while they are open; lifespan scopes pass untouched.
"""

from collections.abc import Awaitable, Callable
from math import inf
from time import perf_counter, time

from paceline.asgi import RESPONSE_HEADERS, ASGIApp, Message, Receive, Scope, Send
from paceline.middleware.client import client_left, response_complete
from paceline.middleware.middleware import Middleware
from paceline.telemetry.logs import current_request
from paceline.telemetry.requests import RequestStats
from paceline.telemetry.server_span import Outcome
from paceline.telemetry.time_spent import TimeSpent, current
from paceline.telemetry.tracing import RequestTrace, Tracing


class MeasureMiddleware(Middleware):
    """Records duration and outcome of each request; hands those worth a span to `Tracing`."""

    __slots__ = ("_app", "_clock", "_generation", "_requests", "_slow", "_tracing")

    def __init__(
        self,
        app: ASGIApp,
        *,
        requests: RequestStats,
        tracing: Tracing,
        generation: Callable[[], int],
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._app = app
        self._requests = requests
        self._tracing = tracing if tracing.enabled else None
        self._slow = tracing.slow_seconds if tracing.enabled else inf
        self._generation = generation
        self._clock = clock

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs on every request, about 1.5 µs of it: plain local variables instead of objects are meant."""
        if scope["type"] != "http":
            return await self._pass_on(scope, receive, send)

        clock = self._clock
        status = 0
        responded = later = 0.0

        # Not a coroutine function: it hands on the awaitable of the inner `send`, which spares a frame a message.
        def watch(message: Message) -> Awaitable[None]:
            nonlocal status, responded, later
            if not status:
                if message["type"] == "http.response.start":
                    status = message["status"]
                    scope[RESPONSE_HEADERS] = message.get("headers", ())
            elif not responded:
                # The first body message: the end of a plain response, the first byte of a stream. What the
                # application does afterwards, background tasks for instance, is not latency of the response.
                responded = clock()
            else:
                requests.streams += not later  # once for each: with its second part it is a stream
                later = clock()
            return send(message)

        requests, tracing = self._requests, self._tracing
        failure: type[BaseException] | None = None
        in_log = current_request.set(scope)
        trace, spent = (None, None) if tracing is None else _begin(tracing, scope, self._generation)
        requests.in_flight += 1
        started = clock()
        try:
            await self._app(scope, receive, watch)
        except BaseException as error:
            failure = type(error)
            raise
        finally:
            responded = responded or clock()
            seconds = responded - started
            failed = failure is not None or not 0 < status < 500
            left = client_left(receive)
            # Hardly ever is there anything to excuse: then it costs no call.
            no_error = (left or failed) and requests.excuse(
                left=left, after_response=failed and 0 < status < 500 and response_complete(receive)
            )
            failed = failed and not no_error
            requests.in_flight -= 1
            requests.streams -= later > 0
            requests.record(scope, seconds, failed, status)
            if tracing is not None and (trace is not None or failed or seconds > self._slow):
                outcome = Outcome(status, started, responded, later or responded, failure, no_error)
                exported = tracing.end(scope, trace, outcome, self._generation, spent)
                requests.exemplify(scope, seconds, exported, time())
            current_request.reset(in_log)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            return await self._app(scope, receive, send)
        self._requests.web_sockets += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests.web_sockets -= 1


def _begin(tracing: Tracing, scope: Scope, generation: Callable[[], int]) -> tuple[RequestTrace | None, TimeSpent]:
    """The trace of a request that was drawn, and where its time will go: known to whatever its task calls."""
    trace = tracing.begin(scope, generation)
    spent = TimeSpent(None if trace is None else trace.traceparent)
    current.set(spent)  # for good: a request has a task of its own
    return trace, spent
