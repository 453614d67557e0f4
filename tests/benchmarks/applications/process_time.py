"""How long an answer took, as `X-Process-Time`: pure ASGI, the cure for `@app.middleware("http")`."""

from time import perf_counter
from typing import Any


class ProcessTime:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()

        async def send_timed(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-process-time", b"%.6f" % (perf_counter() - started)))
            await send(message)

        await self.app(scope, receive, send_timed)
