"""How values reach pools and caches, whichever comes first."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from paceline.document.model import Values
from paceline.document.tunables import CacheValues
from paceline.errors import PoolError, UsageError
from paceline.resources.registry import Tunables
from paceline.settings import load_settings


@dataclass
class Pool:
    name: str = "postgres"
    cap: int = 40
    start_limit: int = 5
    closed: bool = False
    limits: list[int] = field(default_factory=list)

    def set_limit(self, limit: int) -> None:
        self.limits.append(limit)

    def report(self) -> dict[str, Any]:
        return {"limit": self.limits[-1]}


@dataclass
class Cache:
    name: str = "responses"
    origin: str = "app.load"
    start_ttl_seconds: float = 60.0
    closed: bool = False
    note: str = ""
    ttls: list[float] = field(default_factory=list)

    def set_ttl(self, seconds: float) -> None:
        self.ttls.append(seconds)

    def report(self) -> dict[str, Any]:
        return {"ttlSeconds": self.ttls[-1]}


@pytest.mark.parametrize(
    ("values", "limit", "ttl"),
    [
        pytest.param(Values(), 5, 60.0, id="an absent name means the start value"),
        pytest.param(Values(pools={"postgres": 12}), 12, 60.0, id="a pool is set to its limit"),
        pytest.param(Values(pools={"postgres": 41}), 40, 60.0, id="a limit above the cap becomes the cap"),
        pytest.param(Values(caches={"responses": CacheValues(5)}), 5, 5.0, id="a cache is set to its TTL"),
        pytest.param(Values(caches={"responses": CacheValues(0)}), 5, 0.0, id="a TTL of zero is a value"),
    ],
)
@pytest.mark.parametrize("registered_first", [True, False], ids=["registered before", "registered after"])
def test_values_reach_what_is_registered(values: Values, limit: int, ttl: float, registered_first: bool) -> None:
    tunables, pool, cache = Tunables(), Pool(), Cache()
    if not registered_first:
        tunables.apply(values)
    tunables.add_pool(pool)
    tunables.add_cache(cache)
    if registered_first:
        tunables.apply(values)
    assert tunables.report() == {"pools": {"postgres": {"limit": limit}}, "caches": {"responses": {"ttlSeconds": ttl}}}
    assert tunables.start_values() == {"pools": {"postgres": 5}, "caches": {"responses": {"ttlSeconds": 60.0}}}


def test_a_value_that_is_dropped_goes_back_to_the_start_value() -> None:
    tunables, pool = Tunables(), Pool()
    tunables.add_pool(pool)
    tunables.apply(Values(pools={"postgres": 12}))
    tunables.apply(Values())
    assert pool.limits == [5, 12, 5]


def test_names_that_nothing_is_registered_under_are_returned() -> None:
    tunables = Tunables()
    tunables.add_pool(Pool())
    values = Values(pools={"postgres": 5, "mysql": 3}, caches={"pages": CacheValues(5)})
    assert tunables.apply(values) == ["mysql", "pages"]


def test_under_paceline_serve_a_pool_name_is_taken_until_its_pool_is_closed() -> None:
    tunables, first = Tunables(), Pool()
    tunables.serving = True
    tunables.add_pool(first)
    with pytest.raises(PoolError, match="'postgres' is registered twice; give each pool a name of its own"):
        tunables.add_pool(Pool())
    first.closed = True
    tunables.add_pool(Pool(start_limit=7))
    assert tunables.start_values()["pools"] == {"postgres": 7}


def test_under_paceline_serve_a_cache_name_is_taken_while_its_function_lives() -> None:
    tunables, first = Tunables(), Cache()
    tunables.serving = True
    tunables.add_cache(first)
    with pytest.raises(UsageError, match=r"'responses' is registered by app\.load and by app\.other"):
        tunables.add_cache(Cache(origin="app.other"))
    first.closed = True
    tunables.add_cache(Cache(start_ttl_seconds=30))
    assert tunables.start_values()["caches"] == {"responses": {"ttlSeconds": 30}}


def test_elsewhere_a_second_registration_takes_the_place_of_the_first() -> None:
    tunables = Tunables()
    for limit in (5, 7):
        tunables.add_pool(Pool(start_limit=limit))
        tunables.add_cache(Cache(start_ttl_seconds=limit, origin=f"app.load{limit}"))
    assert tunables.start_values() == {"pools": {"postgres": 7}, "caches": {"responses": {"ttlSeconds": 7}}}


def test_the_namespace_is_what_the_application_says_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    tunables = Tunables()
    assert tunables.namespace() == ""
    monkeypatch.setenv("PACELINE_CACHE_NAMESPACE", "shop")
    assert tunables.namespace() == "shop"
    tunables.serve("main:app", load_settings())
    assert tunables.namespace() == "shop"
    monkeypatch.delenv("PACELINE_CACHE_NAMESPACE")
    tunables.serve("main:app", load_settings())
    assert tunables.namespace() == "main:app"
