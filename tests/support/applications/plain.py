"""A bare ASGI application that knows no lifespan: answers with the pid of its worker, on request after `?seconds`, or
once there is a file `?until`."""

import asyncio
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    query = parse_qs(scope["query_string"].decode())
    if "seconds" in query:
        await asyncio.sleep(float(query["seconds"][0]))
    while "until" in query and not Path(query["until"][0]).exists():  # noqa: ASYNC110 - the test is another process
        await asyncio.sleep(0.02)
    body = str(os.getpid()).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]},
    )
    await send({"type": "http.response.body", "body": body})
