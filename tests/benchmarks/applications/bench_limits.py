"""The same limit by `limits` as its documentation has it: hit, then ask for the window, in a dependency."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from time import time
from typing import TypedDict

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from limits import parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter

LIMIT = parse(os.environ["BENCH_LIMIT"])


class State(TypedDict):
    limiter: FixedWindowRateLimiter


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[State]:
    storage = RedisStorage(f"async+{os.environ['REDIS_URL']}", implementation="redispy", max_connections=100)
    yield {"limiter": FixedWindowRateLimiter(storage)}


async def limited(request: Request, response: Response) -> None:
    limiter: FixedWindowRateLimiter = request.state.limiter
    assert request.client is not None
    admitted = await limiter.hit(LIMIT, request.client.host)
    reset, remaining = await limiter.get_window_stats(LIMIT, request.client.host)
    seconds = str(ceil(reset - time()))
    headers = {"RateLimit": f'"api";r={remaining};t={seconds}'}
    if not admitted:
        raise HTTPException(429, headers={**headers, "Retry-After": seconds})
    response.headers.update(headers)


app = FastAPI(openapi_url=None, lifespan=lifespan)


@app.get("/")
async def ready() -> dict[str, str]:
    return {}


@app.get("/api/data", dependencies=[Depends(limited)])
async def data() -> dict[str, int]:
    return {"value": 42}
