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


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[State]:
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=0, max_size=40) as pool:
        yield {"postgres": tune.pool(pool, name="postgres", limit=10)}


app = FastAPI(openapi_url=None, lifespan=lifespan)


@app.get("/")
async def ready() -> dict[str, str]:
    return {}


@app.get("/auth/me")
async def me(request: Request, token: Annotated[str, Depends(bearer)]) -> dict[str, Any]:
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"require": ["exp", "sub"]})
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error
    row = await request.state.postgres.fetchrow("SELECT id, email FROM bench_users WHERE id = $1", int(claims["sub"]))
    if row is None:
        raise HTTPException(401)
    return dict(row)
