"""A dashboard whose three upstream calls run at the same time, on one pooled client."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypedDict

import aiohttp
from fastapi import FastAPI, Request

PARTS = ("users", "orders", "stock")


class State(TypedDict):
    session: aiohttp.ClientSession


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[State]:
    timeout = aiohttp.ClientTimeout(total=10)
    connector = aiohttp.TCPConnector(limit=1000)
    jar = aiohttp.DummyCookieJar()  # an upstream's cookie must not go out with another user's request
    async with aiohttp.ClientSession(
        os.environ["BENCH_UPSTREAM"], connector=connector, timeout=timeout, cookie_jar=jar
    ) as session:
        yield {"session": session}


app = FastAPI(openapi_url=None, lifespan=lifespan)


@app.get("/")
async def ready() -> dict[str, str]:
    return {}


@app.get("/dashboard")
async def dashboard(request: Request) -> dict[str, Any]:
    async with asyncio.TaskGroup() as group:
        tasks = {part: group.create_task(_fetch(request.state.session, part)) for part in PARTS}
    return {part: task.result() for part, task in tasks.items()}


async def _fetch(session: aiohttp.ClientSession, part: str) -> Any:
    async with session.get(f"/{part}") as answer:
        return await answer.json()
