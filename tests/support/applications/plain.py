"""A bare ASGI application that knows no lifespan: answers with the pid of its worker, after `?seconds` if asked."""

import asyncio
import os
from typing import Any
from urllib.parse import parse_qs


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    query = parse_qs(scope["query_string"].decode())
    if "seconds" in query:
        await asyncio.sleep(float(query["seconds"][0]))
    body = str(os.getpid()).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]},
    )
    await send({"type": "http.response.body", "body": body})
