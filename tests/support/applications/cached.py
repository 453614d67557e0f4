"""A FastAPI application whose routes are cached: with a key, with links, with work after the response, with CORS."""

import asyncio
import time
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import APIKeyHeader
from paceline.middleware import CachedRoute, ResponseCacheMiddleware

KEYS = {"ada": "ada's report", "bob": "bob's report"}
ROUTES = {
    "/reports": CachedRoute(name="reports", ttl=60),
    "/optional": CachedRoute(name="optional", ttl=60),
    "/keyed": CachedRoute(name="keyed", ttl=60, headers=("X-API-Key",)),
    "/links": CachedRoute(name="links", ttl=60),
    "/later": CachedRoute(name="later", ttl=60),
    "/greeting/{name}": CachedRoute(name="greeting", ttl=60, query=("tag",), ignore=("cookie",)),
}
app = FastAPI()
app.add_middleware(CORSMiddleware, allow_origins=["https://page.example"], allow_headers=["*"])
app.add_middleware(ResponseCacheMiddleware, routes=ROUTES)
ApiKey = Annotated[str, Depends(APIKeyHeader(name="X-API-Key"))]
OptionalKey = Annotated[str | None, Depends(APIKeyHeader(name="X-API-Key", auto_error=False))]
NUMBERS = iter(range(1_000_000))


@app.get("/reports")
async def reports(key: ApiKey) -> dict[str, str]:
    return {"report": KEYS[key]}


@app.get("/keyed")
async def keyed(key: ApiKey) -> dict[str, str | int]:
    return {"report": KEYS[key], "number": next(NUMBERS)}


@app.get("/optional")
async def optional(key: OptionalKey) -> dict[str, str | None]:
    return {"key": key}


@app.get("/links")
async def links(request: Request) -> dict[str, str]:
    return {"self": str(request.url_for("links"))}


async def slow_work() -> None:
    await asyncio.sleep(3)
    raise LookupError("in the background")


@app.get("/later")
async def later(tasks: BackgroundTasks) -> dict[str, float]:
    tasks.add_task(slow_work)
    return {"time": time.time()}


@app.get("/greeting/{name}")
async def greeting(name: str, request: Request, response: Response) -> dict[str, object]:
    response.headers["etag"] = '"greeting"'
    return {"name": name, "cookies": request.cookies, "tags": request.query_params.getlist("tag"), "n": next(NUMBERS)}
