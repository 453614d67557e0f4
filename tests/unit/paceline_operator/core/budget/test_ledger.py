"""The ledger: nothing is raised that does not fit, and nothing is lowered while somebody may still use it."""

import pytest
from paceline_operator.core.budget.ledger import Count, Entry, NoRoom, reserved, settled, total

LEDGER = {"shop/api": Entry(6, 2, 4), "shop/jobs": Entry(4, 2, 1)}


def test_a_raise_is_reserved_where_it_fits() -> None:
    after = reserved(LEDGER, "shop/api", Entry(8, 2, 5), 24)
    assert after["shop/api"] == Entry(8, 2, 5)
    assert total(after.values()) == 24


def test_a_raise_that_does_not_fit_names_the_sum() -> None:
    with pytest.raises(NoRoom, match="16 for shop/api and 8 that others hold are 24 of 23"):
        reserved(LEDGER, "shop/api", Entry(8, 2, 5), 23)


def test_what_is_no_raise_fits_even_where_the_sum_is_broken() -> None:
    assert reserved(LEDGER, "shop/api", Entry(3, 2, 5), 1)["shop/api"] == Entry(6, 2, 5)


def test_more_pods_than_were_counted_make_a_raise_dearer() -> None:
    with pytest.raises(NoRoom):
        reserved(LEDGER, "shop/api", Entry(7, 3, 5), 28)


def test_who_is_not_counted_may_raise_nothing() -> None:
    with pytest.raises(NoRoom, match="shop/new is not counted yet"):
        reserved(LEDGER, "shop/new", Entry(1, 1, 1), 1000)


@pytest.mark.parametrize(
    ("entry", "count", "after"),
    [
        pytest.param(None, Count(2, 5, 3), Entry(5, 2, 3), id="a member joins with what it may open"),
        pytest.param(None, Count(2, None), None, id="nobody can say what a new member opens"),
        pytest.param(Entry(8, 2, 4), Count(2, 5, 4, settled=True), Entry(5, 2, 4), id="lowered after the acks"),
        pytest.param(Entry(8, 2, 4), Count(2, 5, 4), Entry(8, 2, 4), id="not before the acks"),
        pytest.param(Entry(8, 2, 5), Count(2, 5, 4, settled=True), Entry(8, 2, 5), id="its writer may still wake"),
        pytest.param(Entry(5, 2, 4), Count(2, 8, 4), Entry(8, 2, 4), id="what pods do is counted in any case"),
        pytest.param(Entry(8, 2, 4), Count(3, None, 4), Entry(8, 3, 4), id="unseen pods keep what they had"),
    ],
)
def test_an_entry_after_a_look(entry: Entry | None, count: Count, after: Entry | None) -> None:
    assert settled(entry, count) == after
