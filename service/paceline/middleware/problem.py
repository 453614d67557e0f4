"""A response that a middleware gives in the application's place: `{"error", "detail", "request_id"}`, as JSON."""

from collections.abc import Iterable

import orjson

from paceline.asgi import Scope, Send
from paceline.telemetry.logs import request_id


async def send_problem(
    scope: Scope, send: Send, status: int, error: str, detail: str, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Sends the whole response. `error` is for programs, `detail` for people; the id finds the request in the log."""
    body = orjson.dumps({"error": error, "detail": detail, "request_id": request_id(scope)})
    described = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": described})
    await send({"type": "http.response.body", "body": body})
