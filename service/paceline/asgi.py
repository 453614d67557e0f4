"""The ASGI 3 types; written out here so that the runtime needs no framework to have them."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

RESPONSE_HEADERS: Final = "paceline.response_headers"
"""Where the scope of a request holds the headers of its response, once that has begun."""
