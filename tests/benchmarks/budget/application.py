"""Each request holds a connection of the pool for as long as the table `distance` says: a database near or far away."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from paceline import tune
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

PATIENCE_SECONDS = 60.0


@asynccontextmanager
async def lifespan(application: Starlette) -> AsyncIterator[None]:
    url, limit = os.environ["DATABASE_URL"], int(os.environ["POOL"])
    async with asyncpg.create_pool(url, min_size=0, max_size=40) as pool:
        application.state.pool = tune.pool(pool, name="postgres", limit=limit)
        yield


async def query(request: Request) -> PlainTextResponse:
    async with request.app.state.pool.acquire(timeout=PATIENCE_SECONDS) as connection:
        await connection.execute("SELECT pg_sleep(seconds) FROM distance")
    return PlainTextResponse("found")


app = Starlette(routes=[Route("/query", query)], lifespan=lifespan)
