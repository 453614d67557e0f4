"""A refresh in the background never uses what ended with a request; the first caller who sees a stale value waits."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from paceline import tune
from paceline.document.model import Values
from paceline.document.tunables import CacheValues
from paceline.errors import UsageError
from paceline.resources.cache.refresh import outlives
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from starlette.applications import Starlette
from starlette.requests import Request

Load = Callable[..., Any]


class Session:
    """What a generator dependency of some library yields."""

    def __init__(self) -> None:
        self.closed = False


class Shop:
    """Fetches with what it is given, and notes whether that was open."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.tunables = tune.Tunables()
        self.broken = False

    def define(self, **options: Any) -> Load:
        @tune.cache(name="balances", ttl=60, max_staleness=3600, key="b:{currency}", tunables=self.tunables, **options)
        async def load(db: Any, currency: str) -> str:
            await asyncio.sleep(0)
            if self.broken:
                raise ConnectionError("away")
            self.fetched.append("closed" if getattr(db, "closed", False) else "open")
            return f"{currency} {len(self.fetched)}"

        return load

    def stale(self) -> None:
        self.tunables.apply(Values(caches={"balances": CacheValues(1e-9)}))


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def request(load: Load, db: Any = None) -> str:
    """A request with a session of its own, closed at its end."""
    session = Session() if db is None else db
    try:
        return str(await load(session, "EUR"))
    finally:
        session.closed = True
        await asyncio.sleep(0.01)


@pytest.mark.invariant
async def test_a_session_of_a_request_is_not_used_after_it(shop: Shop) -> None:
    load = shop.define()
    await request(load)
    shop.stale()
    assert [await request(load) for _ in range(3)] == ["EUR 2", "EUR 3", "EUR 4"]
    assert set(shop.fetched) == {"open"}


async def test_while_one_caller_fetches_the_others_get_the_stale_value(shop: Shop) -> None:
    load = shop.define()
    await request(load)
    shop.stale()
    assert sorted(await asyncio.gather(*(request(load) for _ in range(5)))) == ["EUR 1"] * 4 + ["EUR 2"]


async def test_a_stale_value_stands_in_for_a_fetch_that_fails_in_the_foreground(shop: Shop) -> None:
    load = shop.define()
    await request(load)
    shop.stale()
    shop.broken = True
    assert await request(load) == "EUR 1"
    report = shop.tunables.report()["caches"]["balances"]
    assert (report["hits"], report["misses"], report["staleHits"]) == (0, 1, 1)


@pytest.mark.invariant
async def test_a_fetch_ends_with_a_caller_who_leaves(shop: Shop) -> None:
    gate = asyncio.Event()
    used: list[bool] = []

    @tune.cache(name="slow", ttl=60, key="{currency}", tunables=shop.tunables)
    async def load(db: Any, currency: str) -> str:
        await gate.wait()
        used.append(db.closed)
        return currency

    leaving = asyncio.create_task(request(load))
    staying = asyncio.create_task(request(load))
    await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.wait([leaving])
    gate.set()
    assert await staying == "EUR"
    assert used == [False]


async def test_a_refresh_with_resources_of_its_own_runs_in_the_background(shop: Shop) -> None:
    refreshed: list[str] = []

    async def refresh(currency: str) -> str:
        refreshed.append(currency)
        return "refreshed"

    load = shop.define(refresh=refresh)
    await request(load)
    shop.stale()
    assert await request(load) == "EUR 1"
    assert await request(load) == "refreshed"
    assert set(refreshed) == {"EUR"}
    assert shop.fetched == ["open"]


async def test_arguments_that_are_said_to_outlive_their_request_are_used_in_the_background(shop: Shop) -> None:
    load = shop.define(refresh="background")
    await request(load)
    shop.stale()
    assert await request(load, Session()) == "EUR 1"
    assert len(shop.fetched) == 2


@pytest.mark.invariant
async def test_a_refresh_in_the_background_sees_no_context_variable_of_a_request(shop: Shop) -> None:
    current: ContextVar[str] = ContextVar("current", default="none")
    seen: list[str] = []

    @tune.cache(name="balances", ttl=60, max_staleness=3600, tunables=shop.tunables)
    async def load(currency: str) -> str:
        seen.append(current.get())
        return currency

    current.set("a request's")
    await load("EUR")
    shop.stale()
    await load("EUR")
    await asyncio.sleep(0.01)
    assert seen == ["a request's", "none"]


@dataclass(frozen=True)
class Filter:
    text: str


@dataclass(frozen=True)
class Holding:
    db: Any


@pytest.mark.invariant
async def test_only_values_and_what_is_opened_once_outlive_a_request() -> None:
    engine = create_async_engine("postgresql+asyncpg://nowhere")
    request = Request({"type": "http", "headers": []})
    async with AsyncSession(engine) as session, httpx.AsyncClient() as client:
        bound = [
            session,
            request,
            Session(),
            Holding(session),
            [session],
            {"db": session},
            request.state,
            shop_of(session),
        ]
        assert [type(each).__name__ for each in bound if outlives(each)] == []
        opened = [client, engine, async_sessionmaker(engine), Starlette(), "text", 1, None, Filter("x"), (1, {"a": 2})]
        assert [type(each).__name__ for each in opened if not outlives(each)] == []
    await engine.dispose()


@pytest.mark.invariant
async def test_a_function_outlives_a_request_as_far_as_what_it_holds_does() -> None:
    session, text = Session(), "text"

    def by_default(db: Any = session) -> Any:
        return db

    def by_keyword(*, db: Any = session) -> Any:
        return db

    assert not any(map(outlives, (lambda: session, lambda: [session], by_default, by_keyword, lambda: by_default)))
    assert all(map(outlives, (lambda: text, lambda: None, len.__class__, shop_of)))


async def others_run() -> None:
    """What runs in the background, and waits for nothing outside, ends."""
    for _ in range(100):
        await asyncio.sleep(0)


@pytest.mark.invariant
async def test_a_client_that_is_closed_with_its_request_is_used_in_the_background_no_more(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    fetched: list[str] = []

    @tune.cache(name="rates", ttl=60, max_staleness=3600, key="{currency}", tunables=shop.tunables)
    async def load(http: httpx.AsyncClient, currency: str) -> int:
        await asyncio.sleep(0)
        await http.get("http://rates.example")
        fetched.append(currency)
        return len(fetched)

    async def request() -> int:
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as http:
            value = await load(http, "EUR")
        await others_run()
        return value

    await request()
    shop.tunables.apply(Values(caches={"rates": CacheValues(1e-9)}))
    assert [await request() for _ in range(4)] == [1, 2, 3, 4]
    assert "AsyncClient that was closed when its request ended" in caplog.text


@pytest.mark.invariant
async def test_a_function_that_needs_a_variable_of_the_request_is_called_by_requests_only(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    database: ContextVar[Session] = ContextVar("database")

    @tune.cache(name="balances", ttl=60, max_staleness=3600, tunables=shop.tunables)
    async def load(currency: str) -> int:
        try:
            session = database.get()
        except LookupError as error:
            raise RuntimeError("no session") from error
        return id(session)

    async def request() -> bool:
        session = Session()
        database.set(session)
        found = await load("EUR")
        await others_run()
        return found == id(session)

    assert await request()
    shop.stale()
    assert [await asyncio.create_task(request()) for _ in range(4)] == [False, True, True, True]
    assert "needs a context variable" in caplog.text


def shop_of(session: Any) -> Any:
    shop: Any = Shop()
    shop.db = session
    return shop


async def _takes_more(currency: str, db: Any) -> None: ...
async def _takes_all(*everything: Any) -> None: ...
async def _takes_unknown(customer: str) -> None: ...
def _not_async(currency: str) -> None: ...


@pytest.mark.parametrize(
    ("refresh", "says"),
    [
        pytest.param(_takes_unknown, "needs 'customer', no parameter of", id="an unknown argument"),
        pytest.param(_takes_all, "gets its arguments by name, everything has none", id="arguments without a name"),
        pytest.param(_not_async, "must be an `async def`", id="an ordinary function"),
        pytest.param(_takes_more, r"needs db, which ends with its request", id="the request's session"),
    ],
)
def test_a_refresh_that_cannot_work_is_refused(shop: Shop, refresh: Any, says: str) -> None:
    async def load(db: AsyncSession, currency: str) -> str:
        return currency

    with pytest.raises(UsageError, match=says):
        tune.cache(name="x", ttl=1, key="{currency}", refresh=refresh, tunables=shop.tunables)(load)


def test_check_is_told_of_a_cache_whose_callers_wait(shop: Shop) -> None:
    @tune.cache(name="balances", ttl=60, key="{currency}", tunables=shop.tunables)
    async def load(db: AsyncSession, currency: str) -> str:
        return currency

    assert shop.tunables.notes() == {
        "balances": "a caller waits for each fetch, since db (AsyncSession) ends with its request: pass refresh="
    }
