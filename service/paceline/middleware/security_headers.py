"""What OWASP asks of every response of an API, where the application does not say it itself.

Source: OWASP REST Security Cheat Sheet, "Security Headers". No Content-Security-Policy: only the application knows what
its pages load.
"""

from collections.abc import Awaitable, Sequence
from typing import Final

from paceline.asgi import ASGIApp, Message, Receive, Scope, Send
from paceline.middleware.middleware import Middleware

Header = tuple[bytes, bytes]

_ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
_OVER_TLS: Final = (*_ALWAYS, (b"strict-transport-security", b"max-age=31536000"))
_NAMES: Final = frozenset(name for name, _ in _OVER_TLS)


class SecurityHeadersMiddleware(Middleware):
    """Adds what is missing; `Strict-Transport-Security` only where the client came by TLS."""

    __slots__ = ("_app",)

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        wanted = _OVER_TLS if scope.get("scheme") == "https" else _ALWAYS

        def secured(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _completed(list(message.get("headers", ())), wanted)}
            return send(message)

        return self._app(scope, receive, secured)


def _completed(headers: list[Header], wanted: Sequence[Header]) -> list[Header]:
    for name, _ in headers:  # few applications set any of them: no set of names is made to find that out
        if name.lower() in _NAMES:
            there = {name.lower() for name, _ in headers}
            return [*headers, *(header for header in wanted if header[0] not in there)]
    return [*headers, *wanted]
