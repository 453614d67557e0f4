"""The interval that says what a change costs."""

import pytest

from tests.benchmarks.before import Interval


def test_the_worked_example() -> None:
    interval = Interval.of([1.01, 1.03] * 10)
    assert (interval.low, interval.ratio, interval.high) == pytest.approx((1.015, 1.020, 1.025), abs=0.001)


def test_noise_widens_the_interval_and_leaves_its_centre() -> None:
    interval = Interval.of([0.8, 1.25] * 10)
    assert interval.ratio == pytest.approx(1.0)
    assert interval.high > 1.1
