"""fastapi-cache2 with its Redis backend."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi_cache import FastAPICache
from fastapi_cache.backends.redis import RedisBackend
from fastapi_cache.decorator import cache
from redis.asyncio import Redis
from report import REPORT


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with Redis.from_url(os.environ["REDIS_URL"], max_connections=50) as redis:
        FastAPICache.init(RedisBackend(redis), prefix="bench")
        yield


app = FastAPI(openapi_url=None, lifespan=lifespan)


@app.get("/")
async def ready() -> dict[str, str]:
    return {}


@app.get("/expensive-data")
@cache(expire=300)
async def expensive_data() -> dict[str, Any]:
    return REPORT
