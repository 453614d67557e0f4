"""An application that takes its time; its response is the most requests that it has worked on at once."""

import asyncio
from typing import Any

WORKING = {"now": 0, "most": 0}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    if scope["path"] == "/slow":
        WORKING["now"] += 1
        WORKING["most"] = max(WORKING["most"], WORKING["now"])
        await asyncio.sleep(0.1)
        WORKING["now"] -= 1
    body = b"%d" % WORKING["most"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
