"""Cached methods, decorated functions, arguments that change meanwhile, and values that cannot be shared."""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from aiohttp import web
from paceline import tune
from paceline.errors import UsageError
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse

pytestmark = pytest.mark.invariant


def cache(**options: Any) -> Any:
    return tune.cache(**{"name": "values", "ttl": 60, "tunables": tune.Tunables(), **options})


class Shop:
    """Each method with defaults, so that an argument in the wrong place is not missed."""

    def __init__(self, tenant: str = "one") -> None:
        self.tenant = tenant

    @cache(key="{self.tenant}:{page}")
    async def load(self, page: int = 1, size: int = 10) -> list[int]:
        return [page]

    @classmethod
    @cache(key="{page}")
    async def of_class(cls, page: int = 1, size: int = 10) -> list[int]:
        return [page]

    @staticmethod
    @cache(key="{page}")
    async def of_none(page: int = 1, size: int = 10) -> list[int]:
        return [page]


@pytest.mark.parametrize("name", ["load", "of_class", "of_none"])
async def test_what_is_asked_of_a_method_is_about_its_object(name: str) -> None:
    load = getattr(Shop(name), name)
    first, third = await load(), await load(3)
    assert load.age(3) is not None
    assert load.age(4) is None
    await load.forget(3)
    assert await load() is first
    assert await load(3) is not third
    assert load.__name__ == name


async def test_a_method_of_a_class_takes_its_object_itself() -> None:
    shop = Shop("three")
    value = await Shop.load(shop, 2)
    assert Shop.load.age(shop, 2) is not None
    await Shop.load.forget(shop, 2)
    assert await shop.load(2) is not value
    assert inspect.iscoroutinefunction(shop.load)
    assert [*inspect.signature(shop.load).parameters] == ["page", "size"]


class Session: ...


def passes_on(function: Any) -> Any:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return call


def passes_a_session(function: Any) -> Any:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await function(Session(), *args, **kwargs)

    return call


def takes_a_user(function: Any) -> Any:
    @functools.wraps(function)
    async def call(user: int, page: int = 1) -> Any:
        return await function(Session(), user, page)

    return call


def looks_at_the_first(function: Any) -> Any:
    @functools.wraps(function)
    async def call(session: Session, *args: Any, **kwargs: Any) -> Any:
        return await function(session, *args, **kwargs)

    return call


async def load(session: Session, user: int, page: int = 1) -> tuple[int, int]:
    return user, page


async def test_a_decorator_with_parameters_of_its_own_says_what_the_key_is_made_of() -> None:
    cached = cache(key="{user}:{page}")(passes_on(takes_a_user(load)))
    assert await cached(5, 2) == (5, 2)
    assert await cached(7, 2) == (7, 2)
    assert await cached(user=7, page=2) == (7, 2)


@pytest.mark.parametrize("decorator", [passes_on, looks_at_the_first])
async def test_a_decorator_that_passes_on_what_it_gets_is_looked_through(decorator: Any) -> None:
    cached = cache(key="{user}:{page}")(decorator(passes_on(load)))
    assert await cached(Session(), 5, 2) == (5, 2)
    assert await cached(Session(), 7, 2) == (7, 2)
    assert cached.age(Session(), page=2, user=7) is not None


async def test_one_that_passes_arguments_of_its_own_is_found_out() -> None:
    cached = cache(key="{user}:{page}")(passes_a_session(load))
    with pytest.raises(UsageError, match=r"got 5 as session \(Session\): a decorator beneath tune.cache passes"):
        await cached(5, 2)


class Loader:
    async def __call__(self, page: int) -> int:
        return page


@pytest.mark.parametrize("function", [functools.partial(load, Session()), Loader()], ids=["partial", "callable"])
def test_what_is_no_function_is_refused(function: Any) -> None:
    with pytest.raises(UsageError, match="must be an `async def`"):
        cache(key="{page}")(function)


@dataclass
class Filters:
    tags: list[str] = field(default_factory=list)


@pytest.mark.parametrize(
    ("argument", "change"),
    [
        pytest.param({"page": 1}, lambda given: given.update(page=2), id="a dict"),
        pytest.param([1], lambda given: given.append(2), id="a list"),
        pytest.param(Filters(), lambda given: given.tags.append("x"), id="within a dataclass"),
        pytest.param(({"a"},), lambda given: given[0].add("b"), id="within a tuple"),
    ],
)
@pytest.mark.parametrize("refresh", [None, "own"])
async def test_a_refresh_fetches_for_the_arguments_it_was_started_for(
    argument: Any, change: Callable[[Any], None], refresh: str | None
) -> None:
    fetched: list[str] = []

    async def fetch(what: Any) -> str:
        fetched.append(repr(what))
        return repr(what)

    shop = cache(ttl=1e-9, max_staleness=60, refresh=fetch if refresh else None)(fetch)
    argument, before = deepcopy(argument), repr(argument)
    await shop(argument)
    await shop(argument)  # stale: fetched anew in the background
    change(argument)
    assert repr(argument) != before
    async with asyncio.timeout(10):
        while len(fetched) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert fetched == [before, before]


async def test_a_caller_who_gave_up_does_not_change_what_is_fetched_for_its_key() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @cache()
    async def load(filters: dict[str, int]) -> dict[str, int]:
        begun.set()
        await go_on.wait()
        return dict(filters)

    filters = {"page": 1}
    caller = asyncio.create_task(load(filters))
    await begun.wait()
    caller.cancel()
    filters["page"] = 2
    go_on.set()
    assert await load({"page": 1}) == {"page": 1}
    assert await load({"page": 2}) == {"page": 2}


async def _iterator() -> Iterator[int]:
    return iter([1])


async def _later() -> AsyncIterator[int]:
    raise NotImplementedError


async def _awaitable() -> "Awaitable[int]":
    raise NotImplementedError


async def _response() -> PlainTextResponse:
    raise NotImplementedError


@pytest.mark.parametrize("function", [_iterator, _later, _awaitable])
def test_a_function_whose_values_only_one_caller_could_read_is_refused(function: Any) -> None:
    with pytest.raises(UsageError, match="which only the first caller could read; return a list or bytes"):
        cache()(function)


class Stream:
    def __init__(self) -> None:
        self.body_iterator = iter([b"x"])


@pytest.mark.parametrize(
    "value", [iter([1]), (each for each in [1]), map(str, [1]), Stream()], ids=lambda value: type(value).__name__
)
async def test_a_value_that_only_one_caller_could_read_is_refused(value: Any) -> None:
    @cache()
    async def load() -> Any:
        return value

    with pytest.raises(UsageError, match=r"load\(\) returned a value of type \w+, which only the first caller"):
        await load()


def test_a_function_that_returns_responses_is_refused() -> None:
    with pytest.raises(UsageError, match=r"_response\(\) returns a PlainTextResponse, which belongs to one request"):
        cache()(_response)


@pytest.mark.parametrize("response", [JSONResponse({}), RedirectResponse("/"), web.Response()])
async def test_a_response_is_refused_since_its_cookies_and_background_tasks_are_one_clients(response: Any) -> None:
    @cache()
    async def load() -> Any:
        return response

    with pytest.raises(UsageError, match=r"load\(\) returned a \w*Response, which belongs to one request"):
        await load()


async def test_what_an_upstream_responded_may_be_cached() -> None:
    @cache()
    async def load() -> httpx.Response:
        return httpx.Response(200, text="of an upstream")

    assert await load() is await load()
