"""A token check with a user lookup: the async way, on a pool whose limit can be tuned."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypedDict

import asyncpg
import jwt
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import OAuth2PasswordBearer
from paceline import tune

SECRET = os.environ["BENCH_TOKEN_SECRET"]
bearer = OAuth2PasswordBearer(tokenUrl="auth/token")


class State(TypedDict):
    postgres: asyncpg.Pool
    untuned: asyncpg.Pool


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[State]:
    dsn = os.environ["DATABASE_URL"]
    async with (
        asyncpg.create_pool(dsn, min_size=0, max_size=40) as pool,
        asyncpg.create_pool(dsn, min_size=0, max_size=10) as untuned,
    ):
        yield {"postgres": tune.pool(pool, name="postgres", limit=10), "untuned": untuned}


app = FastAPI(openapi_url=None, lifespan=lifespan)


@app.get("/")
async def ready() -> dict[str, str]:
    return {}


@app.get("/auth/me")
async def me(request: Request, token: Annotated[str, Depends(bearer)]) -> dict[str, Any]:
    return await _find(request.state.postgres, _subject(token))


@app.get("/parts/route")
async def route() -> dict[str, Any]:
    return {"id": 7, "email": "user7@example.org"}


@app.get("/parts/bearer")
async def with_bearer(_: Annotated[str, Depends(bearer)]) -> dict[str, Any]:
    return {"id": 7, "email": "user7@example.org"}


@app.get("/parts/token")
async def with_token(token: Annotated[str, Depends(bearer)]) -> dict[str, Any]:
    return {"id": _subject(token), "email": "user7@example.org"}


@app.get("/parts/untuned")
async def with_row(request: Request, token: Annotated[str, Depends(bearer)]) -> dict[str, Any]:
    return await _find(request.state.untuned, _subject(token))


def _subject(token: str) -> int:
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"require": ["exp", "sub"]})
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error
    return int(claims["sub"])


async def _find(pool: asyncpg.Pool, user: int) -> dict[str, Any]:
    row = await pool.fetchrow("SELECT id, email FROM bench_users WHERE id = $1", user)
    if row is None:
        raise HTTPException(401)
    return dict(row)
