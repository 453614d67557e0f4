"""Refuses bodies that are too large: 413, before the application reads them where their length is declared."""

import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from paceline.asgi import ASGIApp, Message, Receive, Scope, Send
from paceline.middleware.middleware import Middleware
from paceline.middleware.problem import send_problem

_DISCONNECT: Final[Message] = {"type": "http.disconnect"}
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
_WITHOUT_LENGTH_NO_BODY: Final = ("1.1", "1.0")
_PLACEHOLDER: Final = re.compile(r"(\*|\{[^{}/]*\})")

logger = logging.getLogger("paceline.middleware")


class RouteLimit(NamedTuple):
    """The limit of the bodies below one pattern of paths; 0 bytes: no limit."""

    pattern: re.Pattern[str]
    most_bytes: int


class BodyLimitMiddleware(Middleware):
    """Bounds the bytes of a request's body, declared or in chunks; then the connection closes, the rest unread.

    What the application has read of a body that turns out too large is in vain: it is told that the client is gone,
    and whatever it still sends is dropped.
    """

    __slots__ = ("_app", "_most", "_routes")

    def __init__(self, app: ASGIApp, *, most_bytes: int, routes: Sequence[RouteLimit] = ()) -> None:
        """Bounds all bodies.

        Args:
            most_bytes: of a body; 0 for any number.
            routes: other limits; the first whose pattern is that of the path counts.
        """
        self._app = app
        self._most = most_bytes
        self._routes = tuple(routes)

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        for name, _ in scope["headers"]:
            if name in _FRAMING:
                return self._bounded(scope, receive, send)
        if scope.get("http_version") in _WITHOUT_LENGTH_NO_BODY:
            return self._app(scope, receive, send)
        return self._bounded(scope, receive, send)

    def _bounded(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        most, length = self._most_for(scope["path"]), _declared(scope)
        if not most or (length is not None and length <= most):
            return self._app(scope, receive, send)  # no server hands on more than what is declared
        refuse = partial(_send_too_large, scope, send, most)
        return refuse() if length else self._counted(scope, _Body(receive, send, most, refuse))

    def _most_for(self, path: str) -> int:
        return next((route.most_bytes for route in self._routes if route.pattern.fullmatch(path)), self._most)

    async def _counted(self, scope: Scope, body: "_Body") -> None:
        try:
            await self._app(scope, body.receive, body.send)
        except Exception as error:
            if not body.refused:
                raise
            logger.debug("the application gave up on a body that was too large: %r", error)


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
        """The response was ours, not the application's."""
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


async def _send_too_large(scope: Scope, send: Send, most: int) -> None:
    detail = f"the body is larger than {most} bytes"
    await send_problem(scope, send, 413, "ContentTooLarge", detail, [(b"connection", b"close")])


def _declared(scope: Scope) -> int | None:
    """Content-Length; None: the length is not known beforehand."""
    framing = {name: value for name, value in scope["headers"] if name in _FRAMING}
    length = framing.get(b"content-length", b"")
    return int(length) if b"transfer-encoding" not in framing and length.isdigit() else None


def parse_routes(text: str) -> list[RouteLimit]:
    """Limits as the setting has them: `PATTERN=BYTES, PATTERN=BYTES`."""
    pairs = [each.strip().rpartition("=") for each in text.split(",") if each.strip()]
    return [RouteLimit(_pattern(route.strip()), int(most)) for route, _, most in pairs]


def _pattern(route: str) -> re.Pattern[str]:
    """A route as frameworks write it: `{name}` is one segment of the path; `{name:path}` and `*` are any rest of it."""
    parts = _PLACEHOLDER.split(route)  # text and placeholders by turns
    placeholders = (".*" if part == "*" or part.endswith(":path}") else "[^/]+" for part in parts[1::2])
    whole = [re.escape(parts[0])]
    for placeholder, text in zip(placeholders, parts[2::2], strict=True):
        whole += [placeholder, re.escape(text)]
    return re.compile("".join(whole), re.DOTALL)
