"""Whose random generators are: the application's are named, those of libraries reseeded."""

import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy
import pytest
from paceline import tune
from paceline.resources.random_generators import generators, is_fork_safe, seed_sequences
from paceline.serve.arbiter.shared_generators import is_library, owners, settle_generators


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("shop")
    module.__file__ = str(tmp_path / "shop.py")
    monkeypatch.setitem(sys.modules, "shop", module)
    return module


def test_an_applications_generators_are_named_with_their_place(shop: ModuleType) -> None:
    before = generators()
    shop.codes = random.Random()
    shop.service = type("Service", (), {})()
    shop.service.dice = numpy.random.default_rng()
    assert settle_generators("shop:app", before) == [
        "random generator shop.codes",
        "random generator shop.service.dice",
    ]


def test_one_that_nobody_can_name_is_reported_too(shop: ModuleType) -> None:
    before = generators()
    shop.many = [[random.Random()]]
    assert settle_generators("shop:app", before) == ["random generator (random.Random)"]


def test_a_seed_sequence_is_named_unless_it_is_a_generators_own(shop: ModuleType) -> None:
    """Workers that spawn from copies of one get the same children."""
    before = [*generators(), *seed_sequences()]
    shop.seeds = numpy.random.SeedSequence()
    shop.dice = tune.fork_safe(numpy.random.default_rng())
    assert settle_generators("shop:app", before) == ["seed sequence shop.seeds"]


def test_a_librarys_seed_sequence_is_passed_over(shop: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    library: Any = ModuleType("library")
    library.__file__ = pytest.__file__
    monkeypatch.setitem(sys.modules, "library", library)
    library.seeds = numpy.random.SeedSequence()
    assert settle_generators("shop:app", generators()) == []


def test_a_proxy_that_cannot_be_asked_for_anything_is_passed_over(shop: ModuleType) -> None:
    """Django's settings before `configure()`, a context-local of Flask's outside a request."""

    class Unconfigured:
        def __getattribute__(self, name: str) -> object:
            raise RuntimeError(f"asked for {name} before it was configured")

    class Local(Unconfigured):
        __slots__ = ()

    before = generators()
    shop.settings, shop.holder, shop.request = Unconfigured(), [Unconfigured()], Local()
    shop.codes = random.Random()
    assert settle_generators("shop:app", before) == ["random generator shop.codes"]


def test_a_librarys_generator_is_reseeded(shop: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a class of the library's, and the application has imported that class."""
    before = generators()
    library = ModuleType("library")
    library.__file__ = pytest.__file__
    monkeypatch.setitem(sys.modules, "library", library)
    generator = random.Random()
    shop.Factory = library.Factory = type("Factory", (), {"dice": generator, "__module__": "library"})
    assert settle_generators("shop:app", before) == []
    assert is_fork_safe(generator)


def test_numpys_global_generator_is_reseeded() -> None:
    settle_generators("shop:app", generators())
    assert is_fork_safe(numpy.random.mtrand._rand)


def test_whose_a_module_is() -> None:
    assert is_library("pytest", "shop:app")
    assert is_library("random", "shop:app")
    assert not is_library("pytest", "pytest.main:app"), "an application may be installed like a library"
    assert not is_library(__name__, "shop:app")


def _default(generator: random.Random = random.Random()) -> random.Random:  # noqa: B008 - that is what is tested
    return generator


def test_a_default_of_a_function_belongs_to_its_module() -> None:
    assert owners(_default()) == {__name__}
