"""`tune.pool` refuses a driver that is not as its adapter expects, and says what is different."""

import functools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from paceline.errors import PoolError
from paceline.resources.pools.driver import Driver, Member, verify

SOURCE = """
__version__ = "2.5.0"

class Pool:
    size = 3

    async def _take(self, timeout, *keys, exact=False):
        return "connection"

    def _put(self, connection):
        pass

    def take(self, timeout=None):
        return Taking(self, timeout)


class Taking:
    def __init__(self, pool, timeout):
        self.pool, self.timeout = pool, timeout

    async def __aenter__(self):
        async def within():
            return await self.pool._take(self.timeout)

        return await within()

    def __exit__(self, *_):
        self.pool._put(None)
"""
DRIVER = Driver(
    package="made_up_driver",
    lowest="2.4",
    members=(
        Member("_take", ("timeout", "*keys", "exact="), True, ("made_up_driver:Taking.__aenter__",)),
        Member("_put", ("connection",), False, ("made_up_driver:Gone.put or made_up_driver:Taking.__exit__",)),
    ),
    entries=("take",),
    links=(("made_up_driver:Pool.take", "Taking"),),
    reads=("size",),
)


@pytest.fixture
def load() -> Iterator[Callable[..., Any]]:
    """Loads the driver's source with replacements, and gives the module."""

    def load(*replacements: tuple[str, str]) -> Any:
        source = SOURCE
        for old, new in replacements:
            assert old in source
            source = source.replace(old, new)
        module = types.ModuleType(DRIVER.package)
        sys.modules[DRIVER.package] = module
        exec(source, module.__dict__)  # noqa: S102 - a driver of our own making
        return module

    yield load
    sys.modules.pop(DRIVER.package, None)


def test_a_driver_as_expected_is_taken(load: Any) -> None:
    verify("p", DRIVER, load().Pool())


@pytest.mark.parametrize(
    ("replacement", "problem"),
    [
        (('"2.5.0"', '"2.3.9"'), r"made_up_driver 2\.3\.9: 2\.4 is the lowest"),
        (("_take", "_lease"), r"no made_up_driver\.Pool\._take"),
        (("async def _take", "def _take"), r"Pool\._take is not async"),
        (("def _put", "async def _put"), r"Pool\._put is async"),
        (("exact=False", "precise=False"), r"takes \(timeout, \*keys, precise=\) where \(timeout, \*keys, exact=\)"),
        (("_take(self, timeout, *keys", "_take(self, timeout, retries"), "takes"),
        (("self, connection)", "self, connection, reason=None)"), "takes"),
        (("self.pool._take", "self.pool._lease"), r"Taking\.__aenter__ does not use _take"),
        (("class Taking:", "class Lending:"), r"Taking\.__aenter__ does not use _take"),
        (("return Taking(", "return object("), r"Pool\.take does not use Taking"),
        (("    def _put", "    @property\n    def _put"), "is no method"),
        (("    def _put", "    @staticmethod\n    def _put"), "is no method"),
        (("size = 3", "room = 3"), "no attribute size"),
        (
            (
                "size = 3",
                "size = 3\n    def __getattribute__(self, n):\n        return object.__getattribute__(self, n)",
            ),
            "own",
        ),
    ],
)
def test_a_driver_that_changed_is_refused(load: Any, replacement: tuple[str, str], problem: str) -> None:
    pool = load(replacement).Pool()
    with pytest.raises(PoolError, match=problem) as refused:
        verify("p", DRIVER, pool)
    assert "pool 'p'" in str(refused.value)
    assert "PACELINE_UNPOOLED" in str(refused.value)


def test_an_old_name_kept_for_nobody_does_not_deceive(load: Any) -> None:
    module = load(("self.pool._take", "self.pool._lease"), ("def take", "async def _lease(self, t): ...\n    def take"))
    with pytest.raises(PoolError, match="does not use _take"):
        verify("p", DRIVER, module.Pool())


def test_a_subclass_that_overrides_what_is_replaced_is_refused(load: Any) -> None:
    base: Any = load().Pool

    class Mine(base):  # type: ignore[misc]
        async def _take(self, timeout: float, *keys: str, exact: bool = False) -> str:
            return "another connection"

    with pytest.raises(PoolError, match="Mine overrides _take"):
        verify("p", DRIVER, Mine())


def test_a_subclass_may_extend_what_leads_there_but_not_go_past_it(load: Any) -> None:
    base: Any = load().Pool

    class Extends(base):  # type: ignore[misc]
        def take(self, timeout: float | None = None) -> Any:
            return super().take(timeout)

    class GoesPast(base):  # type: ignore[misc]
        def take(self, timeout: float | None = None) -> Any:
            return object()

    verify("p", DRIVER, Extends())
    with pytest.raises(PoolError, match="GoesPast overrides take and does not call"):
        verify("p", DRIVER, GoesPast())


@pytest.mark.parametrize("name", ["_take", "_put", "take"])
def test_an_attribute_of_the_object_that_hides_a_method_is_refused(load: Any, name: str) -> None:
    pool = load().Pool()
    setattr(pool, name, lambda *_: None)
    with pytest.raises(PoolError, match=f"the object itself has an attribute {name}"):
        verify("p", DRIVER, pool)


def test_code_put_in_the_place_of_a_method_is_refused_and_a_wrapper_around_it_is_not(load: Any) -> None:
    kind = load().Pool
    original = kind._put

    @functools.wraps(original)
    def traced(self: Any, connection: Any) -> None:
        original(self, connection)

    kind._put = traced
    verify("p", DRIVER, kind())

    def foreign(self: Any, connection: Any) -> None: ...

    kind._put = foreign
    with pytest.raises(PoolError, match="test_driver overrides _put"):
        verify("p", DRIVER, kind())


def test_without_a_version_members_alone_decide(load: Any) -> None:
    pool = load(('__version__ = "2.5.0"', "")).Pool()
    verify("p", DRIVER, pool)
