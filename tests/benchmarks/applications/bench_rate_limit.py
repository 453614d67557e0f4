"""The limit of the reference API in front of a route that does nothing else, as its peers have it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

from fastapi import FastAPI
from paceline.middleware import RequestIdMiddleware
from paceline_api.connections.redis import open_redis
from paceline_api.rate_limit import RateLimit, RateLimitLayer, build_rate_limit
from paceline_api.settings import load_settings
from starlette.middleware import Middleware


class State(TypedDict):
    rate_limit: RateLimit


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[State]:
    settings = load_settings()
    async with open_redis(settings.redis) as redis:
        yield {"rate_limit": build_rate_limit(redis, settings.rate_limit)}


app = FastAPI(
    openapi_url=None,
    lifespan=lifespan,
    middleware=[Middleware(RequestIdMiddleware), Middleware(RateLimitLayer, prefix="/api/")],
    telemetry={"tracing": False, "metrics": False, "logs": False},
)


@app.get("/")
async def ready() -> dict[str, str]:
    return {}


@app.get("/api/data")
async def data() -> dict[str, int]:
    return {"value": 42}
