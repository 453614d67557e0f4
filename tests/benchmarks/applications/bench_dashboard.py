"""A dashboard whose three upstream calls run at the same time, on one pooled client."""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypedDict

import aiohttp
from fastapi import FastAPI, Request

PARTS = ("users", "orders", "stock")
NOTHING = {"value": 42}


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
    return await _together({part: _fetch(request.state.session, part) for part in PARTS})


@app.get("/parts/route")
async def route() -> dict[str, Any]:
    return dict.fromkeys(PARTS, NOTHING)


@app.get("/parts/tasks")
async def three_tasks() -> dict[str, Any]:
    return await _together({part: _nothing() for part in PARTS})


@app.get("/parts/one")
async def one_call(request: Request) -> dict[str, Any]:
    others = {part: _nothing() for part in PARTS[1:]}
    return await _together({PARTS[0]: _fetch(request.state.session, PARTS[0]), **others})


async def _together(parts: dict[str, Coroutine[Any, Any, Any]]) -> dict[str, Any]:
    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(part) for name, part in parts.items()}
    return {name: task.result() for name, task in tasks.items()}


async def _nothing() -> dict[str, int]:
    return NOTHING


async def _fetch(session: aiohttp.ClientSession, part: str) -> Any:
    async with session.get(f"/{part}") as response:
        return await response.json()
