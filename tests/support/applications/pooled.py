"""An application with one tunable pool: each request holds a connection of it for a tenth of a second."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from paceline import tune
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route


@asynccontextmanager
async def _lifespan(application: Starlette) -> AsyncIterator[dict[str, asyncpg.Pool]]:
    named = {"application_name": "pooled"}
    async with asyncpg.create_pool(os.environ["POOLED_DSN"], min_size=0, max_size=20, server_settings=named) as pool:
        yield {"pool": tune.pool(pool, name="postgres", limit=5)}


async def _query(request: Request) -> PlainTextResponse:
    await request.state.pool.execute("SELECT pg_sleep(0.1)")
    return PlainTextResponse("done")


app = Starlette(routes=[Route("/", _query)], lifespan=_lifespan)
