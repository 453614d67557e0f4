"""Random generators across a fork: each in an interpreter of its own, since hooks of a fork stay for good."""

import random
import subprocess
import sys

import numpy
import pytest
from paceline import tune
from paceline.errors import UsageError
from paceline.resources import random_generators
from paceline.resources.random_generators import generators

_FORK = """
import os, random, sys
import numpy
from paceline import tune
rng = {make}
assert tune.fork_safe(rng) is rng
tune.fork_safe(rng)
def draw():
    return repr([{draw} for _ in range(3)])
{before}
drawn = [draw()]
for _ in range(2):
    read, write = os.pipe()
    if not os.fork():
        os.write(write, draw().encode())
        os._exit(0)
    drawn.append(os.read(read, 4096).decode())
drawn.append(draw())
assert len(set(drawn)) == 4, drawn
"""


@pytest.mark.invariant
@pytest.mark.parametrize(
    ("make", "draw"),
    [
        ("random.Random()", "rng.random()"),
        ("random.Random(7)", "rng.gauss()"),
        ("type('Codes', (random.Random,), {})()", "rng.random()"),
        ("numpy.random.default_rng()", "rng.random()"),
        ("numpy.random.default_rng(7)", "rng.normal()"),
        ("numpy.random.RandomState(7)", "rng.rand()"),
        ("numpy.random.RandomState(7)", "rng.normal()"),
        ("numpy.random.Generator(numpy.random.MT19937())", "rng.random()"),
        ("numpy.random.PCG64()", "rng.random_raw()"),
    ],
)
def test_every_process_draws_its_own_numbers(make: str, draw: str) -> None:
    before = "draw()" if "normal" not in draw else "rng.normal()"  # one normal deviate is left for the next call
    done = subprocess.run([sys.executable, "-c", _FORK.format(make=make, draw=draw, before=before)], check=False)
    assert done.returncode == 0


def test_what_needs_nothing_is_taken_as_it_is() -> None:
    system = random.SystemRandom()
    assert tune.fork_safe(system) is system


@pytest.mark.parametrize("value", [None, 7, random, "rng"])
def test_what_cannot_be_reseeded_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match=r"tune\.fork_safe: cannot reseed .*; hand over a random\.Random"):
        tune.fork_safe(value)


def test_living_generators_are_found() -> None:
    mine = [random.Random(), numpy.random.default_rng()]
    found = {id(each) for each in generators()}
    assert {id(mine[0]), id(mine[1].bit_generator)} <= found
    assert id(random._inst) not in found


def test_one_whose_own_seed_fails_is_reseeded_and_so_are_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Strict(random.Random):
        def seed(self, *_: object) -> None:  # type: ignore[override]
            raise RuntimeError("seeded once and for all")

    strict, other = Strict.__new__(Strict), random.Random(1)
    random.Random.seed(strict, 1)
    monkeypatch.setattr(random_generators, "_reseeded", [strict, other])
    before = strict.getstate(), other.getstate()
    random_generators._reseed_all()
    assert strict.getstate() != before[0]
    assert other.getstate() != before[1]
