"""Waits in queues: the formulas' worked examples."""

import pytest
from paceline_operator.core.queueing.waits import FULL, Wait, loop_wait, pool_wait, quota_wait, throttled_share


def test_a_loop_that_is_half_busy_waits_a_slice_on_average() -> None:
    assert loop_wait(0.5, 0.002) == Wait(0.002, pytest.approx(0.002**2 * 3))
    assert loop_wait(FULL, 0.002) is None
    assert loop_wait(0.0, 0.002) == Wait(0.0, 0.0)


def test_the_worked_example_of_the_quota() -> None:
    assert throttled_share(400, 0.0042, 2.0) == pytest.approx(0.28, abs=0.01)
    assert throttled_share(500, 0.0042, 2.0) == 1.0


@pytest.mark.parametrize("used", [0.3, 0.6, 0.8, 0.9])
def test_the_quota_delays_more_the_more_of_it_is_used(used: float) -> None:
    less, more = (quota_wait(2.0 * share / 0.004, 0.004, 2.0) for share in (used, used + 0.05))
    assert less is not None
    assert more is not None
    assert less.mean < more.mean


def test_a_quota_that_is_spent_for_good_has_no_wait() -> None:
    assert quota_wait(490, 0.004, 2.0) is None


def test_a_pool_waits_as_erlang_says() -> None:
    wait = pool_wait(2, 1.0, 0.010)  # C(2, 1) = 1/3
    assert wait is not None
    assert wait.mean == pytest.approx(0.010 / 3)
    assert pool_wait(1, 0.99, 0.010) is None
