"""A database that its own clients slow down: told by what it once needed, or by trying fewer connections."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from paceline_operator.core.decide import decide
from paceline_operator.core.guards.limits import carry_pools
from paceline_operator.core.laws.diagnose import diagnose
from paceline_operator.core.laws.recommend import carried_pools
from paceline_operator.core.laws.relief import half, relief
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.core.situation.experience import DISPROVED
from paceline_operator.core.situation.memory import Drowned, Known, Memory, Rejected
from paceline_operator.core.situation.situation import Budget, Situation
from paceline_operator.core.verdict.pending import remember
from paceline_operator.core.verdict.verify import verify
from situations import (
    NOW,
    OBJECTIVE,
    POSTGRES,
    fleet,
    measured,
    observation,
    pending,
    policy,
    pool_seen,
    pool_spec,
    postgres_seen,
    seconds,
    situation,
    values,
    workers_spec,
)

WELL = Memory(fastest={"postgres": 0.006})


def collapsed(**changes: Any) -> Observation:
    """All eight connections of each worker are checked out, 80 ms each; requests wait; loops idle. p95 is 0.9 s."""
    exhausted = pool_seen(wait=seconds(0.5), hold=seconds(0.08, 20_000), arrivals_per_worker=98.0)
    return observation(**{"duration": seconds(0.9, 20_000), "pools": {"postgres": exhausted}, **changes})


def crowded(**changes: Any) -> Situation:
    return situation(**{"observation": collapsed(), "memory": WELL, **changes})


def test_a_database_that_was_faster_gets_what_it_needed_then() -> None:
    answering = Memory(fastest={"postgres": 0.006}, known=(Known(values(4, 8), 83.0, 0.02, 1, NOW),))
    decision, _ = decide(crowded(memory=answering))

    assert decision.reason is Reason.DATABASE_SATURATED
    assert decision.changes == (Change(POSTGRES, 8, 5),)
    assert "postgres is held 80ms, 6ms when all was well; 5 connections were enough then" in decision.message


@pytest.mark.parametrize(
    "well_enough",
    [
        pytest.param(crowded(observation=collapsed(duration=seconds(0.02, 20_000))), id="the objective is met"),
        pytest.param(crowded(memory=Memory(fastest={"postgres": 0.07})), id="it was never faster"),
        pytest.param(crowded(memory=Memory()), id="nothing is known of it"),
        pytest.param(crowded(values=values(4, 5)), id="it has no more than it needs"),
        pytest.param(crowded(observation=collapsed(loop_lag=seconds(0.05))), id="loops lag"),
        pytest.param(crowded(observation=collapsed(loop_lag=seconds(0.0, 0))), id="nobody knows how loops lag"),
        pytest.param(crowded(observation=collapsed(pools={})), id="nothing is seen of the pool"),
        pytest.param(
            crowded(observation=collapsed(pools=postgres_seen(hold=seconds(0.08, 20_000)))), id="nobody waits"
        ),
    ],
)
def test_otherwise_no_connection_is_taken_away(well_enough: Situation) -> None:
    assert well_enough.observation is not None
    assert relief(well_enough, well_enough.observation, OBJECTIVE) is None


def test_a_pool_never_grows_into_a_slow_database() -> None:
    waiting = postgres_seen(wait=seconds(0.5), hold=seconds(0.011, 20_000), arrivals_per_worker=320.0)
    decision, _ = decide(crowded(values=values(4, 4), observation=collapsed(pools=waiting)))

    assert decision.reason is Reason.DATABASE_SATURATED
    assert not decision.changes
    assert "but postgres is held 11ms, 6ms when all was well" in decision.message


def test_a_pool_grows_once_fewer_connections_have_not_helped_a_slow_database() -> None:
    """Until that is over: then fewer may be tried once more."""
    exhausted = postgres_seen(wait=seconds(0.5), hold=seconds(0.011, 20_000), arrivals_per_worker=360.0)
    fewer_tried = Drowned(16, 0.0, 0.0, NOW + timedelta(hours=1), DISPROVED)
    scene = crowded(values=values(4, 4), observation=collapsed(pools=exhausted))
    told = [
        decide(replace(scene, memory=replace(WELL, drowned={"postgres": replace(fewer_tried, until=until)})))[0]
        for until in (NOW, NOW + timedelta(hours=1))
    ]

    assert [decision.reason for decision in told] == [Reason.DATABASE_SATURATED, Reason.POOL_WAIT_HIGH]
    assert all(change.new < (change.old or 0) for change in told[0].changes)
    assert told[1].changes[0].tunable == POSTGRES
    assert told[1].changes[0].new > 4


@pytest.mark.parametrize("hold", [0.08, 0.011])
def test_a_pool_that_the_policy_lets_have_no_fewer_connections_grows(hold: float) -> None:
    """There is neither half of them to try, nor what was enough when all was well."""
    exhausted = postgres_seen(wait=seconds(0.5), hold=seconds(hold, 20_000), arrivals_per_worker=7.8 / hold)
    scene = crowded(observation=collapsed(pools=exhausted), policy=policy(workers_spec(4, 8), pool_spec(8, 40)))
    decision, _ = decide(scene)

    assert decision.reason is Reason.POOL_WAIT_HIGH
    assert decision.changes[0].tunable == POSTGRES
    assert decision.changes[0].new > 8


def test_a_pool_that_may_not_grow_is_halved() -> None:
    stuck = crowded(policy=policy(workers_spec(), pool_spec(1, 8)), memory=Memory())
    decision, memory = decide(stuck)

    assert decision.changes == (Change(POSTGRES, 8, 4),)
    assert decision.reason is Reason.DATABASE_SATURATED
    assert remember(stuck, memory, decision, 18).rejected[-1].values == values(4, 8), "the way back is barred"


def test_a_pool_is_halved_only_if_it_is_exhausted_and_the_objective_missed() -> None:
    stuck = crowded(policy=policy(workers_spec(), pool_spec(1, 8)), memory=Memory())
    idle = postgres_seen(wait=seconds(0.5), hold=seconds(0.08, 20_000), arrivals_per_worker=40.0)
    assert half(stuck, collapsed(pools=idle), OBJECTIVE) is None
    assert half(stuck, collapsed(duration=seconds(0.02, 20_000)), OBJECTIVE) is None
    assert half(replace(stuck, values=values(4, 1)), collapsed(), OBJECTIVE) is None


def starved(workers: int, **changes: Any) -> Situation:
    """So many workers of one connection, 80 ms each, always checked out; all loops of a pod compute for 10 % of the
    time together."""
    exhausted = pool_seen(limit=1, wait=seconds(0.5), hold=seconds(0.08, 20_000), arrivals_per_worker=12.0)
    window = collapsed(pools={"postgres": exhausted}, cpu_seconds=24.0)
    return crowded(**{"values": values(workers, 1), "observation": window, **changes})


def test_half_of_the_connections_of_many_small_pools_are_tried_in_one_worker() -> None:
    stuck = starved(8, memory=Memory())
    assert stuck.observation is not None
    proposed = half(stuck, stuck.observation, OBJECTIVE)

    assert proposed is not None
    assert proposed.changes == (Change(POSTGRES, 1, 4), Change(WORKERS, 8, 1))


def test_as_many_workers_stay_as_their_pools_may_hold_half_of_the_connections() -> None:
    """Queues are not quite full, so that there is a model; it knows of more connections only."""
    decision, _ = decide(starved(8, policy=policy(workers_spec(), pool_spec(1, 1)), memory=Memory()))

    assert decision.changes == (Change(WORKERS, 8, 4),)


def test_fewer_workers_alone_are_tried_where_each_has_the_one_connection_that_it_needs() -> None:
    law = policy(workers_spec(), pool_spec(budget="data/main"))
    busy = starved(8, memory=Memory(), policy=law, budgets={"data/main": Budget(32, 4)})
    assert busy.observation is not None
    busy = replace(busy, observation=replace(busy.observation, cpu_seconds=24.0 * 24))  # 2.4 loops of 8
    proposed = half(busy, collapsed(pools=busy.observation.pools, cpu_seconds=24.0 * 24), OBJECTIVE)

    assert proposed is not None
    assert proposed.changes == (Change(WORKERS, 8, 4),)
    assert carry_pools(busy, proposed) == proposed, "the law of workers would give each of them two"


def test_what_was_enough_when_all_was_well_is_had_in_fewer_workers() -> None:
    few = starved(8)
    assert few.observation is not None
    proposed = relief(few, few.observation, OBJECTIVE)

    assert proposed is not None
    after = {change.tunable: change.new for change in proposed.changes}
    assert after[WORKERS] * after[POSTGRES] < 8
    assert after[WORKERS] < 8
    assert after[POSTGRES] > 1
    narrow = replace(few, policy=policy(workers_spec(), pool_spec(1, 1)))
    assert relief(narrow, few.observation, OBJECTIVE) is None, "no pool may hold what few workers need"


def test_what_did_not_help_before_is_not_halved_again() -> None:
    rejected = Memory(rejected=(Rejected(values(4, 4), NOW + (NOW - NOW) + policy().behavior.interval),))
    stuck = crowded(policy=policy(workers_spec(), pool_spec(1, 8)), memory=rejected)
    decision, _ = decide(stuck)
    assert not decision.changes
    assert decision.reason is Reason.AT_MAXIMUM


def test_a_pool_that_grew_in_vain_goes_back() -> None:
    grown = pending(
        changes=(Change(POSTGRES, 4, 8),), reason=Reason.POOL_WAIT_HIGH, baseline=measured(p95_seconds=0.88)
    )
    decision, _ = verify(situation(observation=collapsed(), memory=Memory(pending=grown)))

    assert decision is not None
    assert decision.changes == (Change(POSTGRES, 8, 4),)
    assert "postgres 4→8 serves no more requests" in decision.message


@pytest.mark.parametrize(
    ("grown", "window"),
    [
        pytest.param(Change(POSTGRES, 4, 8), collapsed(requests_per_second=360.0), id="more is answered"),
        pytest.param(Change(POSTGRES, 4, 8), collapsed(duration=seconds(0.7, 20_000)), id="it is faster"),
        pytest.param(Change(POSTGRES, 7, 8), collapsed(), id="it grew too little to tell"),
    ],
)
def test_otherwise_growth_stays(grown: Change, window: Observation) -> None:
    change = pending(changes=(grown,), reason=Reason.POOL_WAIT_HIGH, baseline=measured(p95_seconds=0.88))
    decision, memory = verify(situation(observation=window, memory=Memory(pending=change)))

    assert decision is None
    assert memory.pending is None


@pytest.mark.parametrize(
    ("grown", "window"),
    [
        pytest.param(Change(WORKERS, 2, 4), collapsed(), id="workers grew"),
        pytest.param(Change(POSTGRES, 4, 8), collapsed(pools=postgres_seen()), id="some are idle"),
        pytest.param(Change(POSTGRES, 4, 8), collapsed(pools={}), id="nothing is seen of the pool"),
    ],
)
def test_growth_that_gained_nothing_goes_back_without_a_word_on_the_database(
    grown: Change, window: Observation
) -> None:
    change = pending(changes=(grown,), reason=Reason.POOL_WAIT_HIGH, baseline=measured(p95_seconds=0.88))
    decision, memory = verify(situation(observation=window, memory=Memory(pending=change)))

    assert decision is not None
    assert "and no more requests were served" in decision.message
    assert memory.doubts[str(grown.tunable)].seen == 0


def test_a_pool_that_is_exhausted_goes_before_lag_that_does_not_explain_it() -> None:
    lag = collapsed(loop_lag=seconds(0.010))
    found = diagnose(situation(observation=lag), lag, OBJECTIVE)
    assert [finding.reason for finding in found] == [Reason.POOL_WAIT_HIGH, Reason.LOOP_LAG_HIGH]

    explained = collapsed(loop_lag=seconds(0.030))
    found = diagnose(situation(observation=explained), explained, OBJECTIVE)
    assert [finding.reason for finding in found] == [Reason.LOOP_LAG_HIGH, Reason.POOL_WAIT_HIGH]


def test_workers_that_are_added_leave_an_exhausted_pool_its_size() -> None:
    changes = carried_pools(situation(), collapsed(), OBJECTIVE, Change(WORKERS, 4, 8))
    assert changes == ()
    idle = carried_pools(situation(), observation(), OBJECTIVE, Change(WORKERS, 4, 8))
    assert idle == (Change(POSTGRES, 8, 4),)


def test_nothing_shrinks_while_a_pod_is_silent() -> None:
    decision, _ = decide(crowded(observation=collapsed(pods=4), fleet=fleet(total=5, reporting=5, applied=5)))
    assert not decision.changes
