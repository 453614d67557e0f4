"""The decorators as an application uses them: without the runtime, the given values are in force."""

import inspect
import subprocess
import sys
from typing import Any, assert_type

import pytest
from paceline import tune
from paceline.document.model import Values
from paceline.document.tunables import CacheValues
from paceline.errors import UsageError


@pytest.fixture
def tunables() -> tune.Tunables:
    return tune.Tunables()


async def test_a_cached_function_is_called_as_before_and_keeps_its_response(tunables: tune.Tunables) -> None:
    pages: list[int] = []

    @tune.cache(name="products", ttl=60, key="products:{page}", tunables=tunables)
    async def load_products(page: int, *, size: int = 10) -> list[int]:
        """Loads products."""
        pages.append(page)
        return [page] * size

    assert assert_type(await load_products(1, size=3), list[int]) == [1, 1, 1]
    assert await load_products(page=1) == [1, 1, 1], "the key names the page alone"
    assert await load_products(2) == [2] * 10
    assert pages == [1, 2]
    assert load_products.__name__ == "load_products"
    assert load_products.__doc__ == "Loads products."
    assert inspect.iscoroutinefunction(load_products)
    assert list(inspect.signature(load_products).parameters) == ["page", "size"]


async def test_the_response_can_be_asked_for_its_age_and_forgotten(tunables: tune.Tunables) -> None:
    calls: list[int] = []

    @tune.cache(name="products", ttl=60, tunables=tunables)
    async def load(page: int) -> int:
        calls.append(page)
        return len(calls)

    assert load.age(1) is None
    assert await load(1) == 1
    age = load.age(1)
    assert age is not None
    assert 0 <= age < 30
    await load.forget(1)
    assert load.age(1) is None
    assert await load(1) == 2


async def test_a_document_turns_the_cache_off_and_on(tunables: tune.Tunables) -> None:
    calls: list[int] = []

    @tune.cache(name="products", ttl=60, tunables=tunables)
    async def load() -> int:
        calls.append(0)
        return len(calls)

    assert [await load(), await load()] == [1, 1]
    tunables.apply(Values(caches={"products": CacheValues(0)}))
    assert [await load(), await load()] == [2, 3]
    tunables.apply(Values())
    assert [await load(), await load()] == [3, 3]


async def test_a_method_can_be_cached_with_a_key_of_its_arguments(tunables: tune.Tunables) -> None:
    class Shop:
        @tune.cache(name="prices", ttl=60, key="{item}", tunables=tunables)
        async def price(self, item: str) -> object:
            return object()

    shop: Any = Shop()
    assert await shop.price("tea") is await shop.price("tea")
    assert await shop.price("tea") is not await shop.price("milk")


def test_an_ordinary_function_is_refused(tunables: tune.Tunables) -> None:
    decorate: Any = tune.cache(name="products", ttl=60, tunables=tunables)
    with pytest.raises(UsageError, match=r"tune\.cache: .*load must be an `async def`"):

        @decorate  # type: ignore[untyped-decorator]
        def load() -> None: ...


def test_importing_the_public_api_imports_no_driver_and_starts_nothing() -> None:
    program = (
        "import sys, threading; from paceline import tune; "
        "print({'asyncpg', 'redis', 'fastapi', 'sqlalchemy'} & {*sys.modules}, threading.active_count())"
    )
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert output == "set() 1\n"
