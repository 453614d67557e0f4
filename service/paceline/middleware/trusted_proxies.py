"""Who the client is and whether it spoke TLS, as a proxy in front says it; nobody else's word is heard."""

from collections.abc import Awaitable
from typing import Final

from paceline.asgi import ASGIApp, Receive, Scope, Send
from paceline.middleware.forwarded import FORWARDED, X_FORWARDED, by_forwarded, by_x_forwarded, client_of
from paceline.middleware.middleware import Middleware
from paceline.trusted_peers import TrustedPeers

TRUSTED: Final = "paceline.trusted_peer"
"""True in the scope of a request from a trusted peer; middleware further in sees the client's address instead."""
_SECURE: Final = {"http": "https", "websocket": "wss"}
_PLAIN: Final = {"http": "http", "websocket": "ws"}
_READERS: Final = {"x-forwarded": (X_FORWARDED, by_x_forwarded), "forwarded": (FORWARDED, by_forwarded)}


class TrustedProxiesMiddleware(Middleware):
    """Sets `client` and `scheme` of the scope for requests and WebSockets; the client's port is 0, unknown."""

    __slots__ = ("_app", "_names", "_read", "_trusted")

    def __init__(self, app: ASGIApp, *, trusted: TrustedPeers, header: str = "x-forwarded") -> None:
        """Believes one family of headers.

        Args:
            header: `x-forwarded` for X-Forwarded-For and -Proto, `forwarded` for RFC 7239. A proxy that sets one hands
                on whatever the client wrote in the other.
        """
        self._app = app
        self._trusted = trusted
        self._names, self._read = _READERS[header]

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] in _PLAIN:
            peer = scope.get("client")
            if (peer[0] if peer else None) in self._trusted:
                scope[TRUSTED] = True
                for name, _ in scope["headers"]:  # here, without a call: most requests have none of them
                    if name in self._names:
                        self._apply(scope)
                        break
        return self._app(scope, receive, send)

    def _apply(self, scope: Scope) -> None:
        client = client_of(self._read(scope["headers"]), self._trusted)
        if client is not None and client.address is not None:
            scope["client"] = (client.address, 0)
        secure = {"https": True, "wss": True, "http": False, "ws": False}.get(client.scheme if client else "")
        if secure is not None:
            scope["scheme"] = (_SECURE if secure else _PLAIN)[scope["type"]]
