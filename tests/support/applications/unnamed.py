"""An application with two clients of PostgreSQL and two of Redis, of which one each is named."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from paceline import tune
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route


@asynccontextmanager
async def _lifespan(application: Starlette) -> AsyncIterator[dict[str, Any]]:
    named = tune.pool(Redis.from_url(os.environ["NAMED_REDIS"], max_connections=5), name="redis", limit=2)
    unnamed = Redis.from_url(os.environ["UNNAMED_REDIS"])
    async with (
        asyncpg.create_pool(os.environ["NAMED_DSN"], min_size=0, max_size=5) as postgres,
        asyncpg.create_pool(os.environ["UNNAMED_DSN"], min_size=2, max_size=2) as forgotten,
    ):
        await tune.pool(postgres, name="postgres", limit=2).fetchval("SELECT 1")
        await named.ping()
        if "FORGETFUL" in os.environ:
            await unnamed.ping()
        else:
            await forgotten.close()
        yield {}
    await named.aclose()
    await unnamed.aclose()


async def _hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


app = Starlette(routes=[Route("/", _hello)], lifespan=_lifespan)
