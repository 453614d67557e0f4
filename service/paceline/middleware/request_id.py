"""Gives every request an id: a trusted proxy's, if it sent one, else a new one."""

import re
from collections.abc import Awaitable, Iterable
from random import getrandbits
from typing import Final

from paceline.asgi import ASGIApp, Message, Receive, Scope, Send
from paceline.middleware.middleware import Middleware
from paceline.middleware.trusted_proxies import TRUSTED

_HEADER: Final = b"x-request-id"
_SANE: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestIdMiddleware(Middleware):
    """In `scope["state"]["request_id"]`, from where log lines take it, and in the response as `X-Request-ID`.

    An id given by a middleware further out stays; a response that names its own keeps it.
    """

    __slots__ = ("_app",)

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http" or "request_id" in (state := scope.setdefault("state", {})):
            return self._app(scope, receive, send)
        request_id = _chosen(scope)
        state["request_id"] = request_id.decode()

        def named(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                if not _names_an_id(headers):
                    message = {**message, "headers": [*headers, (_HEADER, request_id)]}
            return send(message)

        return self._app(scope, receive, named)


def _names_an_id(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    for name, _ in headers:  # noqa: SIM110 - a generator for `any` costs more than the rest of this middleware
        if name.lower() == _HEADER:
            return True
    return False


def _chosen(scope: Scope) -> bytes:
    if scope.get(TRUSTED):
        for name, value in scope["headers"]:
            if name == _HEADER:
                if _SANE.fullmatch(value):
                    return bytes(value)
                break
    return b"%032x" % getrandbits(128)
