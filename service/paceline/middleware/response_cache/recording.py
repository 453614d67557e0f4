"""Takes the messages of one response, and says as soon as it is clear whether it may be cached."""

import asyncio
from collections.abc import Callable
from typing import Final

from paceline.asgi import Message
from paceline.middleware.response_cache.response import Headers
from paceline.middleware.response_cache.sharing import MAX_BODY_BYTES, Refusal

STREAM_SECONDS: Final = 5.0
"""A response that has begun and is not complete by then is a stream."""


class Recording:
    """One response. `decided` gets None once it is complete, or the reason why it is not cached."""

    def __init__(
        self,
        judge_head: Callable[[int, Headers], Refusal | None],
        judge_body: Callable[[Headers, bytes], Refusal | None],
    ) -> None:
        self.status = 0
        self.headers: Headers = ()
        self.body = bytearray()
        self._judge_head = judge_head
        self._judge_body = judge_body
        self._loop = asyncio.get_running_loop()
        self.decided: asyncio.Future[Refusal | None] = self._loop.create_future()
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def failed(self) -> bool:
        """Whether the application said that it failed."""
        return self.status >= 500

    async def take(self, message: Message) -> None:
        """The application's `send`. Never returns to an application whose response is refused: it is asked again."""
        if self.decided.done():
            if self.decided.result() is not None:
                await self._stop()
            return
        match message["type"]:
            case "http.response.start" if not self.status:
                refusal = self._begin(message)
            case "http.response.body" if self.status:
                refusal = self._add(message)
            case other:
                refusal = Refusal(f"the application sent {other!r}, which cannot be cached")
        if refusal is not None:
            self.decide(refusal)
            await self._stop()

    def decide(self, refusal: Refusal | None) -> None:
        """Ends the recording."""
        if self._deadline is not None:
            self._deadline.cancel()
        if not self.decided.done():
            self.decided.set_result(refusal)

    def _begin(self, message: Message) -> Refusal | None:
        self.status = message["status"]
        self.headers = tuple((bytes(name), bytes(value)) for name, value in message.get("headers", ()))
        if message.get("trailers"):
            return Refusal("it has trailers")
        self._deadline = self._loop.call_later(STREAM_SECONDS, self.decide, Refusal("it is a stream"))
        return None if self.failed else self._judge_head(self.status, self.headers)

    def _add(self, message: Message) -> Refusal | None:
        self.body += message.get("body", b"")
        if len(self.body) > MAX_BODY_BYTES:
            return Refusal(f"it is longer than {MAX_BODY_BYTES} bytes")
        if message.get("more_body", False):
            return None
        refusal = None if self.failed else self._judge_body(self.headers, bytes(self.body))
        if refusal is None:
            self.decide(None)
        return refusal

    async def _stop(self) -> None:
        await self._loop.create_future()
