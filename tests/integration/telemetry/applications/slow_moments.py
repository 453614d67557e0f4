"""An application that can be slow for each of the reasons that a trace names."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
from aiohttp import ClientSession, TCPConnector
from fastapi import FastAPI, Request
from paceline import tune

SLOW_SECONDS = 0.4
UPSTREAM = os.environ.get("UPSTREAM", "")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    database = await asyncpg.create_pool(os.environ["DATABASE"], min_size=0, max_size=4)
    async with httpx.AsyncClient() as client, ClientSession(connector=TCPConnector(limit=10)) as session:
        app.state.postgres = tune.pool(database, name="postgres", limit=1)
        app.state.httpx = tune.pool(client, name="users", limit=10)
        app.state.aiohttp = tune.pool(session, name="orders", limit=10)
        yield
    await database.close()


app = FastAPI(openapi_url=None, lifespan=lifespan)


@tune.cache(name="prices", ttl=60, key="prices:{number}")
async def prices(number: int) -> int:
    await asyncio.sleep(SLOW_SECONDS)
    return number


@app.get("/database")
async def database(request: Request) -> None:
    async with request.app.state.postgres.acquire() as connection:
        await connection.execute("SELECT pg_sleep($1)", SLOW_SECONDS)


@app.get("/blocking")
async def blocking() -> None:
    time.sleep(SLOW_SECONDS)


@app.get("/httpx")
async def with_httpx(request: Request) -> None:
    await request.app.state.httpx.get(f"{UPSTREAM}/working/{SLOW_SECONDS * 1000}")


@app.get("/aiohttp")
async def with_aiohttp(request: Request) -> None:
    async with request.app.state.aiohttp.get(f"{UPSTREAM}/working/{SLOW_SECONDS * 1000}") as response:
        await response.read()


@app.get("/cache/{number}")
async def cached(number: int) -> int:
    return await prices(number)


@app.get("/quick")
async def quick() -> None:
    return None
