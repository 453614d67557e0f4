"""One HTTP request to an ASGI application, without a server: every message that it sends."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote


async def sent_by(
    app: Any,
    method: str,
    path: str,
    query: bytes = b"",
    headers: Sequence[tuple[bytes, bytes]] = (),
    body: bytes = b"",
) -> list[Any]:
    """What is sent, and then the error that reaches the server, if one does."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": query,
        "root_path": "",
        "headers": list(headers),
        "server": ("test", 80),
        "client": ("test", 1),
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    try:
        await app(scope, receive, send)
    except Exception as error:
        sent.append(f"{type(error).__name__}: {error}")
    return sent
