"""Refuses bodies that are too large: 413, before the application reads them where their length is declared."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from paceline.asgi import ASGIApp, Message, Receive, Scope, Send
from paceline.middleware.problem import send_problem

_DISCONNECT: Final[Message] = {"type": "http.disconnect"}

logger = logging.getLogger("paceline.middleware")


class BodyLimitMiddleware:
    """Bounds the bytes of a request's body, declared or in chunks.

    What the application has read of a body that turns out too large is in vain: it is told that the client is gone,
    and whatever it still answers is dropped.
    """

    __slots__ = ("_app", "_most")

    def __init__(self, app: ASGIApp, *, most_bytes: int) -> None:
        self._app = app
        self._most = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        refuse = partial(_answer_too_large, scope, send, self._most)
        if _declared(scope) > self._most:
            return await refuse()
        body = _Body(receive, send, self._most, refuse)
        try:
            await self._app(scope, body.receive, body.send)
        except Exception as error:
            if not body.refused:
                raise
            logger.debug("the application gave up on a body that was too large: %r", error)
        return None


class _Body:
    """One request's body, counted while it is read."""

    __slots__ = ("_begun", "_most", "_over", "_read", "_receive", "_refuse", "_send")

    def __init__(self, receive: Receive, send: Send, most: int, refuse: Callable[[], Awaitable[None]]) -> None:
        self._receive = receive
        self._send = send
        self._most = most
        self._refuse = refuse
        self._read = 0
        self._begun = self._over = False

    @property
    def refused(self) -> bool:
        """The answer was ours, not the application's."""
        return self._over and not self._begun

    async def receive(self) -> Message:
        if self._over:
            return _DISCONNECT
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read <= self._most:
            return message
        self._over = True
        if not self._begun:
            await self._refuse()
        return _DISCONNECT

    async def send(self, message: Message) -> None:
        if not self.refused:
            self._begun = True
            await self._send(message)


async def _answer_too_large(scope: Scope, send: Send, most: int) -> None:
    await send_problem(scope, send, 413, "ContentTooLarge", f"the body is larger than {most} bytes")


def _declared(scope: Scope) -> int:
    """Content-Length; 0 where there is none."""
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return int(lengths[0]) if lengths and lengths[0].isdigit() else 0
