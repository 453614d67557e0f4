"""The stack that guides teach: request id and process time as functions behind `@app.middleware("http")`."""

import time
import uuid
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response

app = FastAPI(openapi_url=None)
Next = Callable[[Request], Awaitable[Response]]


@app.middleware("http")
async def process_time(request: Request, call_next: Next) -> Response:
    started = time.perf_counter()
    response = await call_next(request)
    response.headers["X-Process-Time"] = f"{time.perf_counter() - started:.6f}"
    return response


@app.middleware("http")
async def request_id(request: Request, call_next: Next) -> Response:
    request.state.request_id = request.headers.get("X-Request-ID", uuid.uuid4().hex)
    response = await call_next(request)
    response.headers["X-Request-ID"] = request.state.request_id
    return response


@app.get("/")
async def hello() -> dict[str, str]:
    return {"hello": "world"}
