"""Equal gaps, and gaps as independent users leave them."""

from itertools import islice, pairwise
from statistics import mean, stdev

import pytest
from paceline.load.schedule import due_times


def test_equal_gaps_fill_the_time() -> None:
    assert list(due_times(4, 1)) == [0, 0.25, 0.5, 0.75]
    assert list(islice(due_times(2), 3)) == [0, 0.5, 1.0]


def test_poisson_arrivals_have_the_rate_and_gaps_that_vary_as_much_as_they_are_long() -> None:
    due = list(due_times(100, 200, seed=1))
    gaps = [after - before for before, after in pairwise(due)]
    assert len(due) == pytest.approx(20_000, rel=0.03)
    assert mean(gaps) == pytest.approx(0.01, rel=0.03)
    assert stdev(gaps) == pytest.approx(0.01, rel=0.05)
    assert due[-1] < 200


def test_the_same_seed_gives_the_same_load() -> None:
    assert list(due_times(50, 2, seed=7)) == list(due_times(50, 2, seed=7)) != list(due_times(50, 2, seed=8))
