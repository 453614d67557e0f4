"""The reference API in this process, with real databases behind it and blocking calls forbidden."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
import pytest
from blockbuster import blockbuster_ctx
from fastapi import FastAPI
from paceline_api.app import create_app
from paceline_api.migrate import migrate
from paceline_api.settings import PostgresSettings, RedisSettings, Settings
from pydantic import SecretStr
from redis.asyncio import Redis

Start = Callable[[Settings], AbstractAsyncContextManager[httpx2.AsyncClient]]


@pytest.fixture(scope="session")
def migrated_dsn(postgres_dsn: str) -> str:
    """The address of a database at the newest schema."""
    asyncio.run(migrate(postgres_dsn))
    return postgres_dsn


@pytest.fixture
def settings(migrated_dsn: str, valkey_url: str) -> Settings:
    return Settings(
        postgres=PostgresSettings(url=SecretStr(migrated_dsn)), redis=RedisSettings(url=SecretStr(valkey_url))
    )


@pytest.fixture
def no_blocking() -> Iterator[None]:
    """A blocking call on the event loop raises, but for what asyncpg looks up on disk when it connects."""
    with blockbuster_ctx() as blockbuster:
        for name in ("os.stat", "os.path.abspath"):
            blockbuster.functions[name].can_block_in("asyncpg/connect_utils.py", {"_parse_connect_dsn_and_args"})
        yield


@pytest.fixture(autouse=True)
async def nothing_kept(valkey_url: str) -> None:
    """What one test keeps in Redis is none of the next one's business."""
    async with Redis.from_url(valkey_url) as redis:
        await redis.delete("paceline:responses:/expensive-data")


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application whose lifespan has started."""
    app = create_app(settings)
    async with app.router.lifespan_context(app) as state:
        transport = httpx2.ASGITransport(with_state(app, dict(state or {})))
        async with httpx2.AsyncClient(transport=transport, base_url="http://api") as client:
            yield client


def with_state(app: FastAPI, state: dict[str, Any]) -> Any:
    """What servers do: each request gets its own copy of what the lifespan gave."""

    async def call(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        await app({**scope, "state": dict(state)}, receive, send)

    return call


@pytest.fixture
def start(no_blocking: None) -> Start:
    """Starts an application with settings of the test's own."""
    return running


@pytest.fixture
async def client(settings: Settings, no_blocking: None) -> AsyncIterator[httpx2.AsyncClient]:
    async with running(settings) as client:
        yield client


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield silent.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
