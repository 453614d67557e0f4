"""A database that drowned in its connections: how many it bears is known then, and no more are handed out for long."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from paceline_operator.core.choice.candidates import candidates
from paceline_operator.core.choice.candidates import judged as judged_setting
from paceline_operator.core.choice.probe import probe
from paceline_operator.core.decide import decide
from paceline_operator.core.guards.limits import drowned_before
from paceline_operator.core.laws.contention import bears, drowned, drowning, endangers, most_connections, remembered
from paceline_operator.core.laws.diagnose import Finding
from paceline_operator.core.laws.recommend import Proposal
from paceline_operator.core.laws.relief import half, relief, retreat
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.core.queueing.fit import fit
from paceline_operator.core.situation.memory import Drowned, Known, Memory, Probing
from paceline_operator.core.situation.situation import Fleet, Situation
from paceline_operator.core.verdict.verify import verify
from situations import (
    NOW,
    OBJECTIVE,
    POSTGRES,
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

LATER = NOW + timedelta(hours=1)
IN_150 = Drowned(connections=150, query_seconds=0.09, checkouts=2000.0, until=LATER)
"""What the worked example of the law has seen, with ten pods."""
WELL = Memory(
    fastest={"postgres": 0.013},
    known=(Known(values(3, 5), 200.0, 0.038, 3, NOW - timedelta(minutes=3)),),
)
KNOWING = replace(WELL, drowned={"postgres": IN_150})
FLEET = Fleet(total=10, reporting=10, applied=10, generation=17)


def window(rps: float, workers: int = 3, **changes: Any) -> Observation:
    """Ten pods that answer so many requests a second, one query each."""
    seen = pool_seen(hold=seconds(0.013, 20_000), arrivals_per_worker=rps / workers / 10)
    base = observation(
        pods=10, requests_per_second=rps, requests=round(rps * 60), pools={"postgres": seen}, duration=seconds(0.038)
    )
    return replace(base, cpu_seconds=rps * 60 * 0.002, **changes)


def drowning_window(rps: float = 1600.0, **changes: Any) -> Observation:
    """All five connections of each worker are checked out, and waited for for seconds."""
    exhausted = pool_seen(wait=seconds(5.0), hold=seconds(150 / rps, 20_000), arrivals_per_worker=rps / 30)
    return window(rps, **{"duration": seconds(5.0, 20_000), "pools": {"postgres": exhausted}, **changes})


def fleet_of_ten(**changes: Any) -> Situation:
    base = {"values": values(3, 5), "fleet": FLEET, "observation": window(2000.0), "memory": KNOWING}
    return situation(**{**base, **changes})


def in_trouble(**changes: Any) -> Situation:
    return fleet_of_ten(**{"observation": drowning_window(), "memory": WELL, **changes})


@pytest.mark.parametrize(
    ("load", "coherency", "connections"),
    [(26.0, 2.6e-4, 114), (32.5, 2.6e-4, 62), (0.0, 2.6e-4, 62), (1.0, 0.0018, 554)],
)
def test_what_a_database_bears(load: float, coherency: float, connections: int) -> None:
    assert int(bears(load, coherency)) == connections


def test_a_drowned_window_is_remembered() -> None:
    scene = in_trouble()
    assert scene.observation is not None
    found = drowned(scene, scene.observation, OBJECTIVE)["postgres"]

    assert found.connections == 150
    assert found.query_seconds == pytest.approx(150 / 1600 - 0.001 - 0.002)
    assert found.checkouts == pytest.approx(2000), "what was asked for before counts, not what is answered now"
    assert found.until == NOW + 192 * timedelta(minutes=1)
    assert found.times == 1


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(in_trouble(observation=drowning_window(duration=seconds(0.02))), id="the objective is met"),
        pytest.param(in_trouble(observation=drowning_window(1950.0)), id="nearly all is answered"),
        pytest.param(in_trouble(observation=drowning_window(loop_lag=seconds(0.05))), id="loops lag"),
        pytest.param(
            in_trouble(observation=drowning_window(loop_lag=seconds(0.0, 0))), id="nobody knows how loops lag"
        ),
        pytest.param(in_trouble(observation=drowning_window(pools={})), id="nothing is seen of the pool"),
        pytest.param(
            in_trouble(observation=drowning_window(pools=postgres_seen(arrivals_per_worker=0.0))),
            id="nobody asks it",
        ),
        pytest.param(
            in_trouble(observation=drowning_window(pools=postgres_seen(arrivals_per_worker=50.0))),
            id="nobody waits",
        ),
        pytest.param(
            in_trouble(
                observation=drowning_window(
                    pools=postgres_seen(wait=seconds(5.0), hold=seconds(0.09, 9), arrivals_per_worker=53.0)
                )
            ),
            id="too few checkouts to tell",
        ),
        pytest.param(in_trouble(memory=replace(WELL, fastest={"postgres": 0.08})), id="it never was faster"),
        pytest.param(
            in_trouble(memory=replace(WELL, drowned={"postgres": replace(IN_150, times=0)})), id="it was disproved"
        ),
    ],
)
def test_otherwise_nothing_has_drowned(scene: Situation) -> None:
    assert scene.observation is not None
    assert not drowned(scene, scene.observation, OBJECTIVE)
    assert not drowning(scene, scene.observation, OBJECTIVE)


def test_with_nothing_to_compare_time_will_tell() -> None:
    scene = in_trouble(memory=Memory())
    assert scene.observation is not None
    found = drowned(scene, scene.observation, OBJECTIVE)
    known = fleet_of_ten(memory=Memory(drowned=found))
    assert found["postgres"].checkouts == pytest.approx(1600)
    assert most_connections(known, "postgres") is None
    assert not drowning(scene, scene.observation, OBJECTIVE)

    well = replace(known, memory=Memory(drowned=found, fastest={"postgres": 0.013}))
    assert most_connections(well, "postgres") is not None
    small = replace(known, memory=Memory(drowned=found, fastest={"postgres": 0.08}))
    assert most_connections(small, "postgres") is None, "it was the pool that was too small"


def test_the_fewest_connections_count() -> None:
    more, fewer = replace(IN_150, connections=200), replace(IN_150, connections=120, until=LATER + timedelta(hours=1))
    scene = fleet_of_ten()
    assert remembered(scene, {"postgres": fewer})["postgres"] == fewer
    later = replace(more, until=fewer.until)
    assert remembered(scene, {"postgres": later})["postgres"] == replace(IN_150, until=fewer.until)
    assert remembered(fleet_of_ten(memory=WELL), {"postgres": more})["postgres"] == more
    forgotten = fleet_of_ten(memory=replace(KNOWING, drowned={"postgres": replace(IN_150, until=NOW)}))
    assert remembered(forgotten, {"postgres": more})["postgres"] == more


def test_each_time_it_is_barred_for_longer() -> None:
    again = in_trouble(memory=replace(WELL, drowned={"postgres": replace(IN_150, until=NOW, times=2)}))
    assert again.observation is not None
    found = drowned(again, again.observation, OBJECTIVE)["postgres"]
    assert found.times == 3
    assert found.until == NOW + 4 * 192 * timedelta(minutes=1)


@pytest.mark.parametrize(
    ("scene", "most"),
    [
        pytest.param(fleet_of_ten(), 61, id="a burst would be too much: where most are answered"),
        pytest.param(fleet_of_ten(observation=window(1000.0), memory=replace(KNOWING, known=())), 216, id="less load"),
        pytest.param(fleet_of_ten(observation=window(2000.0, pools={})), 61, id="as then where nobody reports"),
        pytest.param(fleet_of_ten(observation=None), 61, id="as then without a window"),
        pytest.param(
            fleet_of_ten(memory=replace(KNOWING, drowned={"postgres": replace(IN_150, connections=50)})),
            20,
            id="fewer, had it drowned in fewer",
        ),
        pytest.param(
            fleet_of_ten(memory=replace(KNOWING, drowned={"postgres": replace(IN_150, query_seconds=0.027)})),
            120,
            id="a fifth fewer at least",
        ),
    ],
)
def test_how_many_connections_are_borne(scene: Situation, most: int) -> None:
    limit = most_connections(scene, "postgres")
    assert limit is not None
    assert int(limit) == most


def test_nothing_is_known_of_a_database_that_never_drowned_or_long_ago() -> None:
    assert most_connections(fleet_of_ten(memory=WELL), "postgres") is None
    old = replace(KNOWING, drowned={"postgres": replace(IN_150, until=NOW)})
    assert most_connections(fleet_of_ten(memory=old), "postgres") is None


def test_no_setting_above_that_comes_into_question() -> None:
    scene = fleet_of_ten(values=values(1, 6), observation=window(2000.0, 1))
    assert scene.observation is not None
    model = fit(scene.observation, 1, {"postgres": 6})
    assert model is not None
    found = list(candidates(scene, model, OBJECTIVE))
    assert found
    assert all(10 * c.values[WORKERS] * c.values[POSTGRES] <= 62 for c in found)
    assert not endangers(scene, values(1, 6))
    assert endangers(scene, values(1, 7))

    pools_only = replace(scene, policy=policy(pool_spec()), memory=replace(WELL, probing=Probing(0, NOW)))
    assert probe(pools_only, model, OBJECTIVE) is not None
    barred = replace(pools_only, memory=replace(KNOWING, probing=Probing(0, NOW)))
    assert probe(barred, model, OBJECTIVE) is None


def test_out_of_a_drowned_state_at_once() -> None:
    decision, memory = decide(in_trouble())

    assert decision.reason is Reason.DATABASE_SATURATED
    assert decision.changes == (Change(POSTGRES, 5, 6), Change(WORKERS, 3, 1))
    assert "150 connections to postgres; it drowned in 150, 90.8ms a query, 13ms when all is well" in decision.message
    assert "bears some 61 under this load" in decision.message
    assert memory.drowned["postgres"].connections == 150
    assert memory.known == WELL.known, "what it answered then says nothing of the setting"
    assert memory.noise.last is None


def test_the_way_back_stays_open_while_tuning_is_suspended() -> None:
    lately = tuple(NOW - timedelta(minutes=minutes) for minutes in (50, 20, 5))

    decision, _ = decide(in_trouble(memory=replace(WELL, rollbacks=lately)))
    assert decision.changes == (Change(POSTGRES, 5, 6), Change(WORKERS, 3, 1))

    decision, _ = decide(fleet_of_ten(memory=replace(WELL, rollbacks=lately)))
    assert decision.reason is Reason.TUNING_SUSPENDED


def test_workers_stay_where_each_has_what_it_needs() -> None:
    light = replace(KNOWING, known=(), fastest={"postgres": 0.002})
    scene = fleet_of_ten(values=values(3, 40), memory=light)
    assert scene.observation is not None
    found = retreat(scene, scene.observation, OBJECTIVE)
    assert found is not None
    assert [str(change.tunable) for change in found.changes] == ["postgres"]


@pytest.mark.parametrize(
    ("scene", "workers"),
    [
        pytest.param(in_trouble(policy=policy(pool_spec())), 3, id="workers are not ours"),
        pytest.param(in_trouble(observation=replace(drowning_window(), cpu_seconds=0.0)), 3, id="CPU is not known"),
        pytest.param(in_trouble(policy=policy(workers_spec(2), pool_spec())), 2, id="the policy's least"),
        pytest.param(
            in_trouble(observation=replace(drowning_window(), cpu_seconds=660.0)), 2, id="loops would be busy"
        ),
    ],
)
def test_no_more_workers_go_than_can_be_spared(scene: Situation, workers: int) -> None:
    assert scene.observation is not None
    known = replace(scene, memory=replace(scene.memory, drowned={"postgres": IN_150}))
    found = retreat(known, scene.observation, OBJECTIVE)
    assert found is not None
    after = {change.tunable: change.new for change in found.changes}
    assert after.get(WORKERS, 3) == workers


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(fleet_of_ten(memory=WELL), id="it never drowned"),
        pytest.param(fleet_of_ten(values=values(1, 6), observation=window(2000.0, 1)), id="it bears them"),
        pytest.param(fleet_of_ten(values={WORKERS: 3}), id="its size is not known"),
        pytest.param(fleet_of_ten(observation=window(2000.0, pools={})), id="nobody reports it"),
        pytest.param(
            fleet_of_ten(
                policy=policy(workers_spec(), pool_spec(8, 40)), values=values(1, 8), observation=window(2000.0, 1)
            ),
            id="no fewer",
        ),
    ],
)
def test_otherwise_nobody_retreats(scene: Situation) -> None:
    assert scene.observation is not None
    assert retreat(scene, scene.observation, OBJECTIVE) is None


def test_no_law_goes_beyond_what_is_borne() -> None:
    scene = fleet_of_ten(values=values(1, 6), observation=window(2000.0, 1))
    grows = Proposal(Finding(Reason.POOL_WAIT_HIGH, POSTGRES, 2.0, "postgres waits"), (Change(POSTGRES, 6, 9),))
    held = drowned_before(scene, grows)
    assert not isinstance(held, Proposal)
    assert held.reason is Reason.DATABASE_SATURATED
    assert "postgres 6→9 is more than the database bore before" in held.message

    assert drowned_before(replace(scene, memory=WELL), grows) is grows
    predicted = replace(grows, predicted=True)
    assert drowned_before(scene, predicted) is predicted
    shrinks = Proposal(Finding(Reason.POOL_OVERSIZED, POSTGRES, 2.0, "too many"), (Change(POSTGRES, 20, 15),))
    assert drowned_before(replace(scene, values=values(1, 20)), shrinks) is shrinks


def judged(change: Change, reason: Reason, scene: Situation, **baseline: Any) -> Situation:
    before = measured(**{"p95_seconds": 0.038, "requests_per_second": 2000.0, "pods": 10, **baseline})
    waiting = pending(changes=(change,), reason=reason, baseline=before)
    return replace(scene, memory=replace(scene.memory, pending=waiting))


def test_a_change_that_drowns_the_database_is_taken_back_though_less_is_answered() -> None:
    bearable = replace(WELL, drowned={"postgres": replace(IN_150, connections=220)})
    scene = in_trouble(memory=bearable, values=values(3, 5))
    decision, _ = verify(judged(Change(WORKERS, 1, 3), Reason.LOOP_LAG_HIGH, scene))

    assert decision is not None
    assert decision.changes == (Change(WORKERS, 3, 1),)
    assert "p95 38ms → 5s, and postgres drowns in its connections" in decision.message


def test_the_way_back_is_not_taken_where_that_would_drown_it_too() -> None:
    scene = in_trouble(memory=KNOWING)
    decision, memory = verify(judged(Change(WORKERS, 2, 3), Reason.PROBE, scene))
    assert decision is None
    assert memory.pending is None
    assert memory.probing.failures == 1


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(in_trouble(memory=WELL), id="nothing is known of it"),
        pytest.param(in_trouble(memory=KNOWING, policy=policy(objective=None)), id="there is no objective"),
    ],
)
def test_otherwise_another_load_is_another_window(scene: Situation) -> None:
    decision, memory = verify(judged(Change(WORKERS, 2, 3), Reason.LOOP_LAG_HIGH, scene))
    assert decision is None
    assert memory.pending is not None
    assert memory.pending.voids == 1


def test_fewer_connections_that_answer_less_were_not_why() -> None:
    fewer = judged(Change(POSTGRES, 8, 5), Reason.DATABASE_SATURATED, in_trouble(memory=KNOWING), p95_seconds=3.0)
    decision, memory = verify(fewer)

    assert decision is not None
    assert decision.changes == (Change(POSTGRES, 5, 8),)
    assert "2000 → 1600 responses a second: fewer connections do not help postgres" in decision.message
    assert memory.drowned["postgres"].times == 0
    after = replace(fewer, memory=memory, values=values(3, 8))
    assert most_connections(after, "postgres") is None
    assert after.observation is not None
    assert retreat(after, after.observation, OBJECTIVE) is None
    assert relief(after, after.observation, OBJECTIVE) is None
    assert half(after, after.observation, OBJECTIVE) is None


@pytest.mark.parametrize(
    ("change", "baseline", "pools"),
    [
        pytest.param(Change(POSTGRES, 8, 5), {"requests_per_second": 1600.0}, None, id="as many are answered"),
        pytest.param(Change(POSTGRES, 8, 5), {}, {}, id="nothing is seen of the pool"),
        pytest.param(Change(POSTGRES, 20, 12), {}, None, id="some are idle"),
    ],
)
def test_otherwise_fewer_connections_are_judged_like_any_change(
    change: Change, baseline: dict[str, float], pools: dict[str, Any] | None
) -> None:
    window = drowning_window() if pools is None else drowning_window(pools=pools)
    scene = judged(
        change,
        Reason.DATABASE_SATURATED,
        in_trouble(observation=window, memory=KNOWING),
        **{
            "p95_seconds": 4.9,
            **baseline,
        },
    )
    decision, memory = verify(scene)
    assert decision is None
    assert memory.drowned["postgres"] == IN_150


def test_a_model_that_was_too_hopeful_of_a_worker_count_is_so_of_its_other_pools() -> None:
    tried = Known(values(1, 10), 200.0, 0.76, 1, NOW - timedelta(minutes=3))
    hopeful = fleet_of_ten(memory=replace(WELL, known=WELL.known))
    wiser = fleet_of_ten(memory=replace(WELL, known=(*WELL.known, tried)))
    assert hopeful.observation is not None
    model = fit(hopeful.observation, 3, {"postgres": 5})
    assert model is not None
    before, after = (judged_setting(scene, model, values(1, 12)) for scene in (hopeful, wiser))
    of_ten, of_twelve = (model.p95(1, {"postgres": size}) for size in (10, 12))
    assert before is not None
    assert after is not None
    assert of_ten is not None
    assert of_twelve is not None
    assert after.p95_seconds == pytest.approx(of_twelve * 0.76 / of_ten)
    assert after.p95_seconds > before.p95_seconds
    assert not after.measured
