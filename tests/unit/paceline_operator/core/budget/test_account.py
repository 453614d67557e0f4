"""What a budget comes to: fixed members at what they hold, movable ones at what the division gives."""

from paceline_operator.core.budget.account import Account, Member, Pool, account
from paceline_operator.core.budget.curve import Demand
from paceline_operator.core.budget.ledger import Count, Entry
from paceline_operator.core.budget.worst_case import WorstCase
from paceline_operator.core.model.policy import Bounds

BUSY = Demand(1000.0, 6.0, 0.01)


def member(name: str, per_pod: int | None = 5, *, pods: int = 2, movable: bool = True, settled: bool = True) -> Member:
    pool = Pool("postgres", 1, per_pod or 1, Bounds(1, 20), demand=BUSY)
    count = Count(pods, per_pod, 1, settled)
    return Member(f"shop/{name}", WorstCase(pods, 0, 0, "spec.replicas"), count, (pool,), movable, "it is silent")


def test_all_that_is_free_is_room_for_those_who_may_move() -> None:
    found = account(60, [member("api"), member("jobs", 4, movable=False)], {})
    assert found.ledger == {"shop/api": Entry(5, 2, 1), "shop/jobs": Entry(4, 2, 1)}
    assert found.shares == {"shop/api": 40, "shop/jobs": 8}
    assert (found.worst, found.within, found.needed, found.waiting) == (18, True, 10, ())


def test_what_is_still_reserved_is_nobody_elses() -> None:
    before = {"shop/api": Entry(9, 2, 5)}
    found = account(30, [member("api"), member("jobs", 4, movable=False)], before)
    assert found.ledger["shop/api"] == Entry(9, 2, 5), "generation 5 has not been written yet"
    assert found.waiting == ("shop/api",)


def test_a_member_that_nobody_has_seen_is_no_ones_zero() -> None:
    found = account(60, [member("api"), member("new", None)], {})
    assert found.unseen == {"shop/new": "it is silent"}
    assert not found.within
    assert "shop/new" not in found.shares


def test_a_member_that_has_fallen_silent_keeps_what_it_had() -> None:
    found = account(60, [member("api", None, settled=False)], {"shop/api": Entry(7, 2, 1)})
    assert (found.worst, found.shares, found.unseen) == (14, {"shop/api": 14}, {})


def test_minimums_that_do_not_fit_say_what_they_need() -> None:
    found: Account = account(9, [member("api"), member("jobs", 4, movable=False)], {})
    assert (found.needed, found.within) == (10, False)
    assert found.shares["shop/api"] == 2


def test_a_pool_that_is_pinned_keeps_its_size() -> None:
    pinned = Pool("reports", 1, 3)
    api = member("api")
    found = account(100, [Member(api.policy, api.worst, api.count, (*api.pools, pinned), movable=True)], {})
    assert found.shares == {"shop/api": 2 * 20 + 2 * 3}
