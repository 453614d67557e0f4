"""Histograms: exact merging and deltas, quantiles within the error of a bucket, garbage refused."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline_operator.core.measure.histogram import CounterReset, Histogram, merge

WIRE = {"scale": 4, "zeroCount": 1, "offset": -107, "counts": [3, 0, 2], "count": 6, "sum": 0.06}


def holding(values: list[float], scale: int = 4) -> Histogram:
    buckets: dict[int, int] = {}
    for value in values:
        index = math.ceil(math.log2(value) * 2**scale) - 1
        buckets[index] = buckets.get(index, 0) + 1
    return Histogram(scale, 0, buckets, sum(values))


positive = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=50)


def test_the_wire_form_is_read() -> None:
    histogram = Histogram.from_wire(WIRE)

    assert histogram.buckets == {-107: 3, -105: 2}
    assert histogram.count == 6
    assert histogram.mean == pytest.approx(0.01)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"count": 7}, id="a count that is not the sum of its buckets"),
        pytest.param({"counts": [8, 0, -3]}, id="a negative bucket"),
    ],
)
def test_a_histogram_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="count"):
        Histogram.from_wire({**WIRE, **change})


@given(positive, positive, st.integers(2, 6), st.integers(2, 6))
def test_merging_equals_the_histogram_of_the_union(one: list[float], other: list[float], a: int, b: int) -> None:
    merged = merge([holding(one, a), holding(other, b)])

    assert merged.buckets == holding(one + other, 6).downscaled(min(a, b)).buckets


@given(positive, positive)
def test_the_delta_is_what_was_added(before: list[float], added: list[float]) -> None:
    delta = holding(before + added).since(holding(before))

    assert delta.buckets == holding(added).buckets
    assert delta.count == len(added)


def test_a_histogram_that_went_back_is_a_reset() -> None:
    with pytest.raises(CounterReset):
        holding([0.01]).since(holding([0.01, 0.01]))
    with pytest.raises(CounterReset):
        Histogram(zero_count=1).since(Histogram(zero_count=2))


@given(st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=60), st.floats(0.01, 1.0), st.integers(0, 6))
def test_a_quantile_is_off_by_less_than_the_width_of_a_bucket(values: list[float], q: float, scale: int) -> None:
    true = sorted(values)[max(0, math.ceil(q * len(values)) - 1)]
    width = 2**2**-scale

    told = holding(values, scale).quantile(q)

    assert told is not None
    assert true / width * (1 - 1e-9) <= told <= true * width * (1 + 1e-9)


def test_a_quantile_is_within_the_error_of_scale_four() -> None:
    rng = random.Random(3)
    values = sorted(rng.lognormvariate(-4, 1) for _ in range(20_000))

    assert holding(values).quantile(0.95) == pytest.approx(values[19_000], rel=0.022)


@pytest.mark.parametrize(
    ("histogram", "q", "value"),
    [
        pytest.param(Histogram(), 0.5, None, id="nothing has no quantile"),
        pytest.param(Histogram(zero_count=3), 0.99, 0.0, id="zeros only"),
        pytest.param(Histogram(0, 0, {0: 10}), 0.5, 2**0.5, id="the middle of a bucket, in the logarithm"),
        pytest.param(Histogram(0, 9, {0: 1}), 0.9, 0.0, id="as many zeros as asked for"),
        pytest.param(Histogram(0, 0, {0: 1, 3: 1}), 1.0, 16.0, id="the end of the highest bucket"),
        pytest.param(Histogram(0, 0, {0: 5, 3: 5}), 0.25, 2**0.5, id="a lower bucket"),
    ],
)
def test_quantile(histogram: Histogram, q: float, value: float | None) -> None:
    assert histogram.quantile(q) == (None if value is None else pytest.approx(value))


def test_an_empty_histogram_has_no_mean_and_nothing_merges_to_it() -> None:
    assert Histogram().mean is None
    assert merge([]) == Histogram()


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"count": 3}, id="another count than it holds"),
        pytest.param({"zeroCount": -1, "counts": [3]}, id="fewer than none"),
        pytest.param({"sum": float("nan")}, id="a sum that is no number"),
        pytest.param({"sum": float("inf")}, id="a sum without end"),
        pytest.param({"sum": -1.0}, id="a negative sum"),
        pytest.param({"offset": 20_000}, id="a value above all numbers"),
        pytest.param({"scale": 400}, id="a scale that nobody has"),
    ],
)
def test_what_cannot_have_been_measured_is_refused(wrong: dict[str, Any]) -> None:
    right = {"scale": 4, "zeroCount": 0, "offset": 0, "counts": [1, 1], "count": 2, "sum": 2.1}
    assert Histogram.from_wire(right).count == 2
    with pytest.raises(ValueError, match="a histogram says"):
        Histogram.from_wire({**right, **wrong})


def test_the_share_within_a_limit_counts_whole_buckets() -> None:
    histogram = Histogram(0, 1, {0: 3, 1: 1}, 0.0)
    assert histogram.share_within(4.0) == 1.0
    assert histogram.share_within(3.0) == 0.8
    assert histogram.share_within(0.5) == 0.2
    assert Histogram().share_within(1.0) == 1.0


def test_few_values_say_nothing_of_a_high_quantile() -> None:
    assert Histogram(0, 0, {0: 80}).interval(0.95, 2.58) is None
    assert Histogram(0, 0, {0: 2000}).interval(0.95, 2.58) is not None
