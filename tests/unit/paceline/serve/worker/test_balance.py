"""Workers tell each other how many connections they hold; the one that is ahead lets another go first."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline.serve.worker.balance import Share, Shares, is_ahead


@pytest.mark.parametrize(
    ("mine", "others", "ahead"),
    [
        pytest.param(0, [], False, id="alone and idle"),
        pytest.param(500, [], False, id="alone and busy"),
        pytest.param(1, [0], False, id="one more is no lead"),
        pytest.param(2, [0, 5], True, id="two more than the emptiest"),
        pytest.param(18, [16], False, id="within an eighth"),
        pytest.param(19, [16], True, id="more than an eighth"),
        pytest.param(3, [9, 9], False, id="behind"),
    ],
)
def test_who_is_ahead(mine: int, others: list[int], ahead: bool) -> None:
    assert is_ahead(mine, others) is ahead


@given(counts=st.lists(st.integers(0, 10_000), min_size=1, max_size=32))
def test_there_is_always_a_worker_that_takes_the_connection_at_once(counts: list[int]) -> None:
    takers = [not is_ahead(mine, counts[:at] + counts[at + 1 :]) for at, mine in enumerate(counts)]
    assert any(takers)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_new_worker_is_seen_by_a_forked_one() -> None:
    shares = Shares(4)
    mine = Share(shares, 0)
    mine.hold(5)
    assert not mine.is_ahead(5)
    if not (pid := os.fork()):
        Share(shares, 1).hold(0)
        os._exit(0)
    os.waitpid(pid, 0)  # not just any child that has ended
    assert mine.is_ahead(5)


def test_a_worker_that_leaves_no_longer_counts() -> None:
    shares = Shares(4)
    mine, other = Share(shares, 0), Share(shares, 1)
    mine.hold(5)
    other.hold(0)
    other.leave()
    assert not mine.is_ahead(5)


def test_a_killed_worker_is_forgotten() -> None:
    shares = Shares(4)
    Share(shares, 1).hold(0)
    shares.forget_all_but({0})
    assert shares.others(0) == []


def test_a_worker_too_many_takes_what_comes() -> None:
    shares = Shares(2)
    assert shares.free_slot({0}) == 1
    assert shares.free_slot({0, 1}) is None
    left_over = Share(shares, None)
    left_over.hold(9)
    left_over.leave()
    assert not left_over.is_ahead(9)
