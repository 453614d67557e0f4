"""What routes ask for, by type. The lifespan opened it; `connections.State` names it."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, Request
from paceline import tune
from pymongo.asynchronous.database import AsyncDatabase
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession

from paceline_api.connections.sqlalchemy import Sessions
from paceline_api.connections.upstream import Upstream
from paceline_api.errors import NotConfigured


async def _postgres(request: Request) -> asyncpg.Pool:
    pool: asyncpg.Pool = request.state.postgres
    return pool


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    """A transaction of the request's own: committed when the route returns, rolled back when it raises."""
    sessions: Sessions = request.state.sessions
    async with sessions.begin() as session:
        yield session


async def _redis(request: Request) -> Redis:
    client: Redis = request.state.redis
    return client


async def _mongo(request: Request) -> AsyncDatabase[dict[str, Any]]:
    database: AsyncDatabase[dict[str, Any]] | None = request.state.mongo
    if database is None:
        raise NotConfigured("this installation has no MongoDB: MONGO_URL is not set")
    return database


async def _upstream(request: Request) -> Upstream:
    upstream: Upstream | None = request.state.upstream
    if upstream is None:
        raise NotConfigured("this installation asks no other service: UPSTREAM_URL is not set")
    return upstream


async def _processes(request: Request) -> tune.Processes:
    pool: tune.Processes = request.state.processes
    return pool


PostgresDep = Annotated[asyncpg.Pool, Depends(_postgres)]
# scope: the commit comes before the response, so that no client is told of something that then fails.
SessionDep = Annotated[AsyncSession, Depends(_session, scope="function")]
RedisDep = Annotated[Redis, Depends(_redis)]
MongoDep = Annotated[AsyncDatabase[dict[str, Any]], Depends(_mongo)]
UpstreamDep = Annotated[Upstream, Depends(_upstream)]
ProcessesDep = Annotated[tune.Processes, Depends(_processes)]
