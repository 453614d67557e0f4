"""One request to the application on behalf of many clients, and whose its answer is."""

import asyncio
import logging

from paceline.asgi import ASGIApp, Message, Receive, Scope
from paceline.middleware.cached_response import MAX_BODY_BYTES, CachedResponse, Recording, Sharing, sharing
from paceline.middleware.cached_route import CachedRoute, shared_scope
from paceline.resources.cache.entry import NotCached

log = logging.getLogger(__name__)


class Uncached(NotCached):
    """An answer for its receiver alone; without a recording nobody can have it but by asking again."""

    def __init__(self, recording: Recording | None = None) -> None:
        super().__init__("no answer to keep" if recording is None else f"answered {recording.status}")
        self.recording = recording


class Failed(Exception):
    """The application answered that it failed; the cause is what it raised, if it did."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(f"answered {recording.status}")
        self.recording = recording


class SharedFetch:
    """Asks the application on behalf of all who have the same key; runs in a task of its own."""

    __slots__ = ("_app", "_route", "_scope", "kept", "ran")

    def __init__(self, app: ASGIApp, route: CachedRoute, scope: Scope) -> None:
        self._app = app
        self._route = route
        self._scope = scope
        self.ran = False
        self.kept: CachedResponse | None = None

    async def __call__(self) -> CachedResponse:
        """The answer, if it may be kept.

        Raises:
            Uncached: it may not.
            Failed: it is a 5xx.
            Exception: what the application raised instead of an answer.
        """
        self.ran = True
        recording, failure = Recording(), None
        try:
            await self._app(shared_scope(self._route, self._scope), _no_body(), recording.take)
        except Exception as error:
            if not (recording.complete or recording.too_large):
                raise
            failure = error
        if not recording.complete or recording.too_large:
            log.warning("%s: no answer of at most %d bytes; not kept", self._scope["path"], MAX_BODY_BYTES)
            raise Uncached
        match sharing(recording.status, recording.headers, self._route.header_names):
            case Sharing.AT_ONCE:
                raise Failed(recording) from failure
            case Sharing.KEPT if failure is None:
                self.kept = recording.to_keep()
                return self.kept
        raise Uncached(recording) from failure


def _no_body() -> Receive:
    """A request without a body, from a client that stays: one who leaves must not take the answer from the others."""
    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not messages:
            await asyncio.get_running_loop().create_future()
        return messages.pop()

    return receive
