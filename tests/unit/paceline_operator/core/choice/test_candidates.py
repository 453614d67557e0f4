"""Settings that come into question, what they cost, and where none can be chosen."""

import pytest
from paceline_operator.core.choice.candidates import candidates
from paceline_operator.core.choice.choose import budget_binds, choose, cost
from paceline_operator.core.model.policy import TunableSpec
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.core.situation.memory import Known, Memory
from paceline_operator.core.situation.situation import Budget
from situations import (
    MAIN,
    NOW,
    OBJECTIVE,
    POSTGRES,
    fitted,
    policy,
    pool_spec,
    postgres_seen,
    seconds,
    served,
    situation,
    values,
    workers_spec,
)

WAITED_FOR = postgres_seen(
    limit=1, hold=seconds(0.03, 48_000), wait=seconds(0.02, 48_000), arrivals_per_worker=200.0 / 8
)


def test_cost_is_a_share_of_what_is_allowed() -> None:
    assert cost(situation(), values(8, 40)) == 1.0
    assert cost(situation(), values(4, 20)) == pytest.approx((0.5 + 0.25) / 2)
    assert cost(situation(policy=policy(TunableSpec(WORKERS, pinned=4))), values()) == 0.0


def test_a_budget_binds_when_one_more_is_too_many() -> None:
    specs = (workers_spec(), pool_spec(budget=MAIN))
    tight = situation(policy=policy(*specs), budgets={MAIN: Budget(4 * 4 * 8, 4)})
    assert budget_binds(tight, values())
    assert not budget_binds(tight, values(4, 7))


def test_where_the_setting_in_force_cannot_be_predicted_nothing_is_chosen() -> None:
    full = served(2, 4)
    assert choose(situation(values=values(1, 1)), fitted(full), full.policy.objective) is None  # type: ignore[arg-type]


def test_all_candidates_keep_the_bounds() -> None:
    start = served(4, 8, policy=policy(workers_spec(2, 6), pool_spec(3, 9)))
    found = list(candidates(start, fitted(start), start.policy.objective))  # type: ignore[arg-type]
    assert {candidate.values[WORKERS] for candidate in found} == {2, 3, 4, 5, 6}
    assert all(3 <= candidate.values[POSTGRES] <= 9 for candidate in found)


def test_fewer_workers_may_have_the_connections_there_are_and_no_more() -> None:
    start = served(8, 1, window={"pools": WAITED_FOR})
    found = [candidate.values for candidate in candidates(start, fitted(start), OBJECTIVE)]
    assert values(4, 2) in found
    assert any(one[WORKERS] == 4 and one[POSTGRES] > 2 for one in found), "what is needed is more than there are"


def test_no_candidate_has_more_workers_than_their_pools_least_leaves_room_for() -> None:
    start = served(4, 4, policy=policy(workers_spec(), pool_spec(3, budget=MAIN)), budgets={MAIN: Budget(4 * 16, 4)})
    found = list(candidates(start, fitted(start), OBJECTIVE))
    assert {candidate.values[WORKERS] for candidate in found} == {1, 2, 3, 4, 5}


def test_what_was_measured_is_a_candidate_where_it_is_allowed_and_the_load_is_the_same() -> None:
    seen = (
        Known(values(9, 5), 200.0, 0.010, 4, NOW),  # above the maximum
        Known(values(3, 30), 800.0, 0.010, 4, NOW),  # under another load
        Known(values(6, 30), 200.0, 0.010, 4, NOW),
    )
    start = served(4, 8, memory=Memory(known=seen))
    found = list(candidates(start, fitted(start), OBJECTIVE))
    assert [candidate.values for candidate in found if candidate.measured] == [values(6, 30)]
    assert all(candidate.values[WORKERS] <= 8 for candidate in found)
