"""What OWASP asks of every response of an API, where the application does not say it itself.

Source: OWASP REST Security Cheat Sheet, "Security Headers". No Content-Security-Policy: only the application knows what
its pages load.
"""

from collections.abc import Awaitable
from typing import Final

from paceline.asgi import ASGIApp, Message, Receive, Scope, Send

_ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
_OVER_TLS: Final = (*_ALWAYS, (b"strict-transport-security", b"max-age=31536000"))


class SecurityHeadersMiddleware:
    """Adds what is missing; `Strict-Transport-Security` only where the client came by TLS."""

    __slots__ = ("_app",)

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        wanted = _OVER_TLS if scope.get("scheme") == "https" else _ALWAYS

        def secured(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                there = {name.lower() for name, _ in headers}
                headers += [header for header in wanted if header[0] not in there]
                message = {**message, "headers": headers}
            return send(message)

        return await self._app(scope, receive, secured)
