"""The fixture `retune`, in a pytest run of its own and in this one."""

import pytest
from paceline import tune
from paceline.errors import UsageError
from paceline.pytest_plugin import Retune

_SUITE = """
import pytest
from paceline import tune

calls = []

@tune.cache(name="products", ttl=60)
async def load():
    calls.append(1)
    return len(calls)

def ttl():
    return tune.tunables.report()["caches"]["products"]["ttlSeconds"]

async def test_first(retune):
    assert [await load(), await load()] == [1, 1]
    await retune(caches={"products": 0})
    assert [await load(), await load()] == [2, 3]
    assert ttl() == 0
    assert FAILS is False

async def test_second():
    assert ttl() == 60
"""


@pytest.mark.parametrize("fails", [False, True])
def test_a_suite_retunes_and_finds_everything_restored(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # a dozen plugins take seconds
    pytester.makepyfile(f"FAILS = {fails}\n{_SUITE}")
    options = ("-p", "pytest_asyncio.plugin", "-p", "paceline.pytest_plugin", "-o", "asyncio_mode=auto")
    result = pytester.runpytest_subprocess(*options)
    result.assert_outcomes(passed=1 if fails else 2, failed=1 if fails else 0)


@pytest.fixture
def tunables() -> tune.Tunables:
    registry = tune.Tunables()

    @tune.cache(name="products", ttl=60, tunables=registry)
    async def load() -> int:
        return 1

    return registry


async def test_an_unknown_name_says_what_is_registered(retune: Retune, tunables: tune.Tunables) -> None:
    with pytest.raises(UsageError, match=r"caches product: not registered; registered are: products"):
        await retune(caches={"product": 0}, tunables=tunables)
    with pytest.raises(UsageError, match=r"pools postgres: not registered; registered are: none"):
        await retune(pools={"postgres": 1}, tunables=tunables)


async def test_a_negative_ttl_is_refused(retune: Retune, tunables: tune.Tunables) -> None:
    with pytest.raises(UsageError, match="0 or more seconds; got -1"):
        await retune(caches={"products": -1}, tunables=tunables)
    assert tunables.report()["caches"]["products"]["ttlSeconds"] == 60


async def test_what_is_not_named_runs_its_start_value(retune: Retune, tunables: tune.Tunables) -> None:
    await retune(caches={"products": 5}, tunables=tunables)
    await retune(tunables=tunables)
    assert tunables.report()["caches"]["products"]["ttlSeconds"] == 60
