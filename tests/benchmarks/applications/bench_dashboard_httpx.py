"""A dashboard whose three upstream calls are awaited one after another, with httpx: async, and no faster for it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypedDict

import httpx
from fastapi import FastAPI, Request

PARTS = ("users", "orders", "stock")


class State(TypedDict):
    client: httpx.AsyncClient


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[State]:
    limits = httpx.Limits(max_connections=300, max_keepalive_connections=300)
    async with httpx.AsyncClient(base_url=os.environ["BENCH_UPSTREAM"], limits=limits, timeout=10) as client:
        yield {"client": client}


app = FastAPI(openapi_url=None, lifespan=lifespan)


@app.get("/")
async def ready() -> dict[str, str]:
    return {}


@app.get("/dashboard")
async def dashboard(request: Request) -> dict[str, Any]:
    found = {}
    for part in PARTS:
        found[part] = (await request.state.client.get(f"/{part}")).json()
    return found
