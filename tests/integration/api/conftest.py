"""The reference API in this process, with real databases behind it and blocking calls forbidden."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from blockbuster import blockbuster_ctx
from local_upstream import LocalUpstream, local_upstream
from paceline_api.migrate import migrate
from paceline_api.settings import PostgresSettings, RedisSettings, Settings
from pydantic import SecretStr
from redis.asyncio import Redis
from reference_api import Start, running


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


@pytest.fixture(autouse=True)
def no_blocking(request: pytest.FixtureRequest) -> Iterator[None]:
    """A blocking call on the event loop raises, but for what drivers look up on disk when they start."""
    if request.node.get_closest_marker("may_block"):
        yield
        return
    with blockbuster_ctx() as blockbuster:
        for name in ("os.stat", "os.path.abspath"):
            blockbuster.functions[name].can_block_in("asyncpg/connect_utils.py", {"_parse_connect_dsn_and_args"})
        blockbuster.functions["os.stat"].can_block_in("pymongo/pool_options.py", {"get_container_env_info"})
        yield


@pytest.fixture(autouse=True)
async def nothing_kept(valkey_url: str) -> None:
    """What one test keeps in Redis is none of the next one's business."""
    async with Redis.from_url(valkey_url, driver_info=None) as redis:
        async for key in redis.scan_iter("paceline:*responses:*"):
            await redis.delete(key)


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
async def upstream(no_blocking: None) -> AsyncIterator[LocalUpstream]:
    """Another service, with faults to order."""
    async with local_upstream() as upstream:
        yield upstream


@pytest.fixture
def closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
