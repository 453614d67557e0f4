"""An application with an endpoint for each way a request can end, and spans of its own."""

import asyncio
import http.client
import os
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.responses import JSONResponse, StreamingResponse
from opentelemetry import propagate, trace

SLOW_SECONDS = 0.4

app = FastAPI(openapi_url=None)
tracer = trace.get_tracer("shop")
released = asyncio.Event()


@app.get("/products/{number}")
async def product(number: int) -> dict[str, int]:
    with tracer.start_as_current_span("query"):
        return {"number": number}


@app.get("/slow")
async def slow() -> dict[str, str]:
    await asyncio.sleep(SLOW_SECONDS)
    return {"took": "long"}


@app.get("/failed")
async def failed() -> JSONResponse:
    return JSONResponse({"error": "no database"}, 503)


@app.get("/raising")
async def raising() -> None:
    raise LookupError("password=hunter2")


@app.get("/working/{milliseconds}")
async def working(milliseconds: float) -> dict[str, float]:
    await asyncio.sleep(milliseconds / 1000)
    return {"milliseconds": milliseconds}


@app.get("/calling")
async def calling() -> dict[str, int]:
    headers: dict[str, str] = {}
    propagate.inject(headers)
    back = urlsplit(os.environ["BACK"])

    def call() -> int:
        connection = http.client.HTTPConnection(back.netloc, timeout=10)
        try:
            connection.request("GET", "/products/1", headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    return {"status": await asyncio.to_thread(call)}


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        await released.wait()
        yield b"last"

    return StreamingResponse(chunks())


@app.get("/release")
async def release() -> None:
    released.set()
