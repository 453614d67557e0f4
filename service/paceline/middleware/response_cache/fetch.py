"""One request to the application on behalf of all clients with one key."""

import asyncio
import logging
from contextvars import Context
from typing import Any, Final

from opentelemetry import context as spans
from opentelemetry import trace

from paceline.asgi import ASGIApp, Message, Receive, Scope
from paceline.middleware.response_cache.recording import Recording
from paceline.middleware.response_cache.response import CachedResponse
from paceline.middleware.response_cache.served import Served
from paceline.middleware.response_cache.sharing import Refusal, age_of, without_own
from paceline.middleware.response_cache.shown import Shown
from paceline.resources.cache.entry import NotCached
from paceline.telemetry.logs import current_request
from paceline.telemetry.time_spent import TimeSpent, current

log = logging.getLogger(__name__)

_running: Final[set[asyncio.Task[None]]] = set()
"""The loop holds only weak references to tasks."""


class Uncached(NotCached):
    """There is a response, but not for others: each client has to ask the application itself."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"not cached: {refusal.reason}")


class Failed(Exception):
    """The application said that it failed (5xx)."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(f"the application's status is {recording.status}")
        self.status = recording.status
        self.body = bytes(recording.body)
        shared = tuple(header for header in without_own(recording.headers) if header[0].lower() != b"set-cookie")
        self.headers = (*shared, (b"content-length", b"%d" % len(self.body)))


class SharedFetch:
    """Asks the application once. It may go on working after its response: background tasks, dependencies that close.

    Whoever's request started it waits for that with `end`, or says with `leave` that nobody will.
    """

    __slots__ = ("_app", "_key", "_left", "_scope", "_served", "_shown", "_task", "fetched")

    def __init__(self, app: ASGIApp, scope: Scope, served: Served, key: str, shown: Shown) -> None:
        self._app = app
        self._scope = scope
        self._served = served
        self._key = key
        self._shown = shown
        self._left = False
        self._task: asyncio.Task[None] | None = None
        self.fetched: CachedResponse | None = None

    async def __call__(self) -> CachedResponse:
        """The response, as soon as it is complete.

        Raises:
            Uncached: it may not be given to others.
            Failed: it is a 5xx.
            Exception: what the application raised instead of a response.
        """
        created_at = self._served.clock()
        recording = self._served.recording(self._key, self._shown, _ids(self._scope))
        task = self._start(recording)
        try:
            waited_for: list[asyncio.Future[Any]] = [task, recording.decided]
            await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not recording.decided.done():
            await task  # raises what the application raised
            recording.decide(Refusal("the application sent no complete response"))
        if (refusal := recording.decided.result()) is not None:
            task.cancel()
            self._served.refused(self._key, refusal)
            raise Uncached(refusal)
        self._task = task
        task.add_done_callback(self._ended)
        if recording.failed:
            self._served.failed(recording.status)
            raise Failed(recording)
        body = bytes(recording.body)
        headers = (*without_own(recording.headers), (b"content-length", b"%d" % len(body)))
        self.fetched = CachedResponse(headers, body, created_at - age_of(recording.headers))
        self._served.stored = True
        return self.fetched

    async def end(self) -> None:
        """Returns when the application has, if this fetch asked it.

        Raises:
            Exception: what the application raised after its response.
        """
        task, self._task = self._task, None
        if task is not None:
            await task

    def leave(self) -> None:
        """Nobody waits: what the application raises from now on is logged."""
        self._left = True
        if self._task is not None and self._task.done():
            self._ended(self._task)

    def _start(self, recording: Recording) -> asyncio.Task[None]:
        """In a task of its own, in an empty context: variables that middleware in front set are not for this route."""
        context = Context()
        context.run(_describe, self._scope, trace.get_current_span(), current.get())
        scope = self._served.shared_scope(self._shown, self._scope)
        call = _call(self._app, scope, recording)
        task = asyncio.get_running_loop().create_task(call, context=context)
        _running.add(task)
        task.add_done_callback(_running.discard)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not self._left or self._task is None or task.cancelled():
            return
        self._task = None
        if (error := task.exception()) is not None:
            log.error("%s: failed after its response", self._shown.line.path, exc_info=error)


async def _call(app: ASGIApp, scope: Scope, recording: Recording) -> None:
    await app(scope, _no_body(recording), recording.take)


def _describe(scope: Scope, span: trace.Span, spent: TimeSpent | None) -> None:
    """What is only for logs and traces."""
    current_request.set(scope)
    current.set(spent)
    spans.attach(trace.set_span_in_context(span, spans.Context()))


def _ids(scope: Scope) -> tuple[str, ...]:
    """What a response must not repeat: the ids of its request and its trace."""
    request_id = str((scope.get("state") or {}).get("request_id", ""))
    return request_id, trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)


def _no_body(recording: Recording) -> Receive:
    """A request without a body, from a client that stays: one who leaves must not take the response from the others."""
    begun = False

    async def receive() -> Message:
        nonlocal begun
        if not begun:
            begun = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.wait({recording.decided})
        return {"type": "http.disconnect"}

    return receive
