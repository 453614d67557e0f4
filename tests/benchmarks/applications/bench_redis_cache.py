"""A cache in Redis alone, as guides write it: GET, else compute and SETEX. BENCH_CACHED=bytes sends what it stored."""

import json
import os
from typing import Any

from fastapi import FastAPI, Response
from redis.asyncio import Redis
from report import REPORT

redis = Redis.from_url(os.environ["REDIS_URL"], max_connections=50)
app = FastAPI(openapi_url=None)


@app.get("/")
async def ready() -> dict[str, str]:
    return {}


async def _cached() -> bytes:
    cached: Any = await redis.get("bench:report")
    if cached is None:
        cached = json.dumps(REPORT).encode()
        await redis.setex("bench:report", 300, cached)
    return cached


if os.environ["BENCH_CACHED"] == "bytes":

    @app.get("/expensive-data")
    async def as_bytes() -> Response:
        return Response(await _cached(), media_type="application/json")

else:

    @app.get("/expensive-data")
    async def decoded() -> dict[str, Any]:
        return dict(json.loads(await _cached()))
