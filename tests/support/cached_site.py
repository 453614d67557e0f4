"""An application of one cached route behind the response cache, and what clients get from it."""

import json
from collections.abc import Callable
from typing import Any

from paceline.middleware import CachedRoute, ResponseCacheMiddleware
from paceline.resources.registry import Tunables

Pairs = list[tuple[bytes, bytes]]

Respond = Callable[[dict[str, Any]], tuple[int, Pairs, bytes]]

MINE: Pairs = [(b"host", b"api.example"), (b"user-agent", b"one"), (b"accept-language", b"de")]

THEIRS: Pairs = [(b"host", b"other.example"), (b"user-agent", b"two"), (b"x-forwarded-host", b"evil.example")]


def everything(scope: dict[str, Any]) -> tuple[int, Pairs, bytes]:
    """Responds with all that it is told about a request."""
    seen = {key: repr(value) for key, value in scope.items() if key not in ("asgi", "app")}
    return 200, [(b"content-type", b"application/json")], json.dumps(seen).encode()


def headers_of(scope: dict[str, Any]) -> tuple[int, Pairs, bytes]:
    return 200, [], b"|".join(name + b"=" + value for name, value in scope["headers"] if name != b"host")


def request_line(scope: dict[str, Any]) -> tuple[int, Pairs, bytes]:
    """Responds with what it is told, but for what is about the client."""
    kept = ("scheme", "root_path", "path", "raw_path", "query_string")
    seen = {key: repr(scope[key]) for key in kept} | {"headers": headers_of(scope)[2].decode("latin-1")}
    return 200, [(b"content-type", b"application/json")], json.dumps(seen).encode()


class Site:
    """An application of one cached route behind the middleware, and what clients get."""

    def __init__(self, respond: Respond = everything, *, path: str = "/data", **options: Any) -> None:
        middleware = {name: options.pop(name) for name in ("host", "shared") if name in options}
        self.respond = respond
        self.calls = 0
        self.lifespan: dict[str, Any] = {}
        routes = {path: CachedRoute(name="site", ttl=60, **options)}
        self.app = ResponseCacheMiddleware(self._call, routes=routes, tunables=Tunables(), **middleware)

    async def _call(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            scope["state"].update(self.lifespan)
            return
        self.calls += 1
        status, headers, body = self.respond(scope)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def start(self, **state: Any) -> None:
        self.lifespan = state
        self.state: dict[str, Any] = {}
        await self.app({"type": "lifespan", "state": self.state}, nothing, drop)

    async def get(self, headers: Pairs = MINE, *, path: str = "/data", **more: Any) -> "Got":
        got = Got()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "server": ("10.0.0.1", 8000),
            "client": ("203.0.113.9", 4711),
            "headers": list(headers),
            **more,
        }
        await self.app(scope, nothing, got.send)
        return got


class Got:
    status = 0
    body = b""

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message["headers"])
        else:
            self.body += message.get("body", b"")

    @property
    def hit(self) -> bool:
        return b"hit" in self.headers.get(b"cache-status", b"") or b"collapsed" in self.headers.get(
            b"cache-status", b""
        )


async def nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def drop(_: Any) -> None:
    pass
