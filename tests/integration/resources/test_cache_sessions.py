"""A cached function that takes a session of its request, which FastAPI closes, refreshed under `max_staleness`."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI
from paceline import tune
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

REQUESTS = 10
TTL_SECONDS = 0.05


@pytest.fixture
async def engine(postgres_dsn: str) -> AsyncIterator[AsyncEngine]:
    """One connection, tested before each use: a session that is used after its end fails, or takes it for ever."""
    dsn = postgres_dsn.replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(dsn, pool_pre_ping=True, pool_size=1, max_overflow=0, pool_timeout=5)
    yield engine
    await engine.dispose()


def application(engine: AsyncEngine, tunables: tune.Tunables, **options: Any) -> tuple[FastAPI, Any]:
    app = FastAPI()
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def session() -> AsyncIterator[AsyncSession]:
        async with sessions() as db:
            yield db

    @tune.cache(name="balances", ttl=TTL_SECONDS, max_staleness=60, key="b:{currency}", tunables=tunables, **options)
    async def load(db: AsyncSession, currency: str) -> float:
        return float((await db.execute(text("SELECT extract(epoch FROM clock_timestamp())"))).scalar_one())

    @app.get("/balance/{currency}")
    async def balance(currency: str, db: Annotated[AsyncSession, Depends(session)]) -> float:
        return await load(db, currency)

    return app, load


async def responses(app: FastAPI, load: Any, stale: Any) -> list[tuple[int, str]]:
    """One request after another, each of which finds a stale value."""
    found = []
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://api") as client:
        for _ in range(REQUESTS):
            response = await client.get("/balance/EUR")
            found.append((response.status_code, response.text))
            await stale(load)
    return found


@pytest.fixture
def stale(eventually: Any) -> Any:
    async def wait(load: Any) -> None:
        async def is_stale() -> bool:
            return (load.age("db", "EUR") or 0.0) > TTL_SECONDS

        await eventually(is_stale, "the value is stale")

    return wait


@pytest.mark.invariant
async def test_a_session_of_a_request_is_not_used_after_it(
    engine: AsyncEngine, tunables: tune.Tunables, stale: Any
) -> None:
    found = await responses(*application(engine, tunables), stale)
    assert [status for status, _ in found] == [200] * REQUESTS
    assert len({body for _, body in found}) == REQUESTS, "each of them waited for a value of its own"
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


@pytest.mark.invariant
async def test_a_refresh_with_a_session_of_its_own_keeps_nobody_waiting(
    engine: AsyncEngine, tunables: tune.Tunables, stale: Any, eventually: Any
) -> None:
    async def refresh(currency: str) -> float:
        async with AsyncSession(engine) as db:
            return float((await db.execute(text("SELECT extract(epoch FROM clock_timestamp())"))).scalar_one())

    found = await responses(*application(engine, tunables, refresh=refresh), stale)
    assert [status for status, _ in found] == [200] * REQUESTS
    assert tunables.report()["caches"]["balances"]["staleHits"] == REQUESTS - 1

    async def refreshed() -> bool:
        return bool(engine.pool.checkedout() == 0)  # type: ignore[attr-defined]

    await eventually(refreshed, "the last refresh gave its connection back")
