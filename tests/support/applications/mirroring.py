"""Says what it got: `METHOD path body`.

`/early` responds before it reads, `?seconds` wait first, and a WebSocket hears its own messages.
"""

import asyncio
from typing import Any
from urllib.parse import parse_qs


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    query = parse_qs(scope["query_string"].decode())
    await asyncio.sleep(float(query.get("seconds", ["0"])[0]))
    if scope["type"] == "websocket":
        return await mirror(receive, send)
    before = scope["path"] == "/early"
    text = f"{scope['method']} {scope['path']} ".encode() + (b"" if before else await body_of(receive))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})
    return None


async def body_of(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body if len(body) < 100 else b"%d bytes" % len(body)


async def mirror(receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
