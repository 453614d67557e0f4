"""An application with an endpoint for each way a request can end, and spans of its own."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import JSONResponse, StreamingResponse
from opentelemetry import trace

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
