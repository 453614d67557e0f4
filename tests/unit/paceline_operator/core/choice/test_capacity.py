"""Choosing by the model, as a table: a fleet in words, where it goes, and the reason that is given."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from paceline_operator.core.choice.capacity import propose
from paceline_operator.core.decide import decide
from paceline_operator.core.measure.observation import PoolObservation
from paceline_operator.core.model.decision import Reason, apply_changes
from paceline_operator.core.model.policy import Bounds, TunableSpec
from paceline_operator.core.model.tunables import WORKERS, pool
from paceline_operator.core.situation.memory import Busy, Known, Memory
from paceline_operator.core.situation.situation import Budget, Situation
from situations import (
    COST,
    MAIN,
    NOW,
    OBJECTIVE,
    POSTGRES,
    answers,
    fitted,
    fleet,
    policy,
    pool_seen,
    pool_spec,
    postgres_seen,
    seconds,
    served,
    situation,
    values,
    workers_spec,
)

REPORTS = pool("reports")
NEARLY = {"duration": seconds(0.040, 48_000), "loop_lag": seconds(0.005, 10_000)}
"""The objective is met, and there is not much room."""


WANTED_LESS = Memory(wanted=(values(1, 3),) * 4)
"""In the last four windows less would have done."""


def busy(minutes: int) -> Memory:
    """So long ago there were 900 requests a second and pod."""
    return Memory(busy=(Busy(NOW - timedelta(minutes=minutes), 900.0),))


def holding(limit: int, hold: float) -> PoolObservation:
    return pool_seen(limit=limit, hold=seconds(hold, 48_000))


def overloaded(workers: int, size: int, **changes: Any) -> Situation:
    """The same at 380 requests a second and pod, slow and throttled."""
    window = {
        "requests_per_second": 4 * 380.0,
        "cpu_ratio": 0.8,
        "throttled_ratio": 0.25,
        "duration": answers(0.060, 0.024),
        "loop_lag": seconds(0.005, 10_000),
    }
    return served(workers, size, window=window, **changes)


@pytest.mark.parametrize(
    ("given_situation", "workers", "size", "reason"),
    [
        pytest.param(
            served(2, 4, window={"duration": answers(0.040, 0.020), "loop_lag": seconds(0.003, 10_000)}),
            "more", None, Reason.LOOP_LAG_HIGH, id="loops that wait on each other get company",
        ),
        pytest.param(
            served(5, 4, window={"loop_lag": seconds(0.00005, 10_000)}),
            "same", "same", Reason.WITHIN_TOLERANCE, id="nothing to gain",
        ),
        pytest.param(
            served(2, 2, window={"duration": answers(0.060)}, policy=policy(pool_spec())),
            "same", "more", Reason.POOL_WAIT_HIGH, id="a pool that waits grows to what it needs",
        ),
        pytest.param(
            served(
                2, 8, policy=policy(TunableSpec(WORKERS, pinned=2), pool_spec()),
                window={"duration": answers(0.080, 0.032), "loop_lag": seconds(0.012, 10_000), "throttled_ratio": 0.2},
            ),
            "same", "same", Reason.THROTTLING_HIGH, id="throttling that no setting helps is named",
        ),
        pytest.param(
            served(
                2, 8, policy=policy(TunableSpec(WORKERS, pinned=2), pool_spec()),
                window={"duration": answers(0.080, 0.060), "loop_lag": seconds(0.0005, 10_000)},
            ),
            "same", "same", Reason.OBJECTIVE_INFEASIBLE, id="slow, though nothing waits and the database is as ever",
        ),
        pytest.param(
            served(
                2, 4, policy=policy(objective=COST),
                window={"duration": answers(0.060, 0.020), "loop_lag": seconds(0.005, 10_000)},
            ),
            "more", None, Reason.LOOP_LAG_HIGH, id="cost spends what the objective needs",
        ),
        pytest.param(
            served(
                2, 4, policy=policy(objective=COST),
                window={"duration": answers(0.300, 0.060), "loop_lag": seconds(0.012, 10_000)},
            ),
            "more", None, Reason.LOOP_LAG_HIGH, id="cost takes the fastest where nothing meets the objective",
        ),
        pytest.param(
            served(2, 4, policy=policy(objective=COST), window=NEARLY),
            "more", None, Reason.LOOP_LAG_HIGH, id="cost makes room for a load that rises by a quarter",
        ),
        pytest.param(
            served(3, 4, policy=policy(objective=COST)),
            "same", "same", Reason.WITHIN_TOLERANCE, id="cost leaves alone what is met with room",
        ),
        pytest.param(
            served(3, 4, policy=policy(objective=COST), memory=busy(minutes=50)),
            "more", None, Reason.LOOP_LAG_HIGH, id="cost makes room for the busiest minute of the hour",
        ),
        pytest.param(
            served(3, 4, policy=policy(objective=COST), memory=busy(minutes=61)),
            "same", "same", Reason.WITHIN_TOLERANCE, id="cost forgets what was busy longer ago",
        ),
        pytest.param(
            served(2, 4, policy=policy(), window=NEARLY),
            "more", None, Reason.LOOP_LAG_HIGH, id="latency spends what is allowed",
        ),
        pytest.param(
            overloaded(8, 4, memory=Memory(cpu={2: 0.0036, 8: 0.0041})),
            "fewer", None, Reason.THROTTLING_HIGH, id="workers that only throttle each other go",
        ),
        pytest.param(
            served(
                8, 1,
                window={"duration": answers(0.040), "pools": {"postgres": holding(1, 0.02)}},
                policy=policy(workers_spec(), pool_spec(budget=MAIN)),
                budgets={MAIN: Budget(4 * 8, 4)},
            ),
            "fewer", "more", Reason.BUDGET_CONSOLIDATED, id="few connections go further in fewer workers",
        ),
        pytest.param(
            served(8, 8, policy=policy(objective=COST), memory=WANTED_LESS),
            "fewer", "fewer", Reason.WORKERS_OVERSIZED, id="cost takes what is not needed",
        ),
        pytest.param(
            served(2, 9, policy=policy(pool_spec(), objective=COST), memory=WANTED_LESS),
            "same", "fewer", Reason.POOL_OVERSIZED, id="cost takes connections, too",
        ),
    ],
)  # fmt: skip
def test_choice(given_situation: Situation, workers: str, size: str | None, reason: Reason) -> None:
    decision, _ = decide(given_situation)

    assert decision.reason is reason, decision.message
    after = apply_changes(given_situation.values, decision.changes)
    assert moved(given_situation.values[WORKERS], after[WORKERS]) == workers, decision.message
    assert size in (None, moved(given_situation.values[POSTGRES], after[POSTGRES])), decision.message


def moved(old: float, new: float) -> str:
    return "same" if old == new else "more" if new > old else "fewer"


def test_what_was_measured_outranks_the_model() -> None:
    start = served(2, 4, window={"duration": answers(0.040, 0.016), "loop_lag": seconds(0.004, 10_000)})
    decision, _ = decide(start)
    tried = {change.tunable: change.new for change in decision.changes}
    known = Known({**start.values, **tried}, 200.0, 0.055, 3, NOW)

    again, _ = decide(served(2, 4, memory=Memory(known=(known,)), window={
        "duration": answers(0.040, 0.016), "loop_lag": seconds(0.004, 10_000)}))  # fmt: skip

    assert {change.tunable: change.new for change in again.changes} != tried


def test_a_setting_that_was_better_is_gone_back_to() -> None:
    known = Known(values(3, 5), 200.0, 0.010, 4, NOW)
    decision, _ = decide(served(5, 4, memory=Memory(known=(known,))))

    assert {change.tunable: change.new for change in decision.changes} == {WORKERS: 3, POSTGRES: 5}
    assert "seen before under this load" in decision.message


def test_what_the_policy_keeps_out_of_reach_is_said() -> None:
    slow = {"duration": answers(0.080, 0.032), "loop_lag": seconds(0.012, 10_000)}
    decision, _ = decide(served(1, 8, window=slow, policy=policy(workers_spec(1, 1), pool_spec())))
    assert decision.reason is Reason.AT_MAXIMUM
    assert not decision.changes
    assert any(change.tunable == WORKERS for change in decision.uncapped)

    waiting = {
        "duration": answers(0.200, 0.08),
        "pools": {"postgres": holding(1, 0.0085)},
    }
    tight = served(
        2,
        1,
        window=waiting,
        policy=policy(TunableSpec(WORKERS, pinned=2), pool_spec(budget=MAIN)),
        budgets={MAIN: Budget(8, 4)},
    )
    decision, _ = decide(tight)
    assert decision.reason is Reason.BUDGET_EXHAUSTED
    assert "but for the connection budget" in decision.message


def test_a_slow_database_gets_no_more_connections() -> None:
    window = {
        "duration": answers(0.100, 0.04),
        "pools": {"postgres": holding(4, 0.025)},
    }
    well, slow = Memory(), Memory(fastest={"postgres": 0.006})
    grown, _ = decide(served(2, 4, window=window, memory=well))
    held, _ = decide(served(2, 4, window=window, memory=slow))

    assert any(change.tunable == POSTGRES and change.new > 4 for change in grown.changes)
    assert not any(change.tunable == POSTGRES and change.new * 2 > 8 for change in held.changes)


def test_a_pool_that_nobody_uses_keeps_its_total_when_workers_are_added() -> None:
    specs = (workers_spec(), pool_spec(), TunableSpec(REPORTS, bounds=Bounds(1, 40)))
    idle = situation(
        policy=policy(*specs),
        values={**values(2, 4), REPORTS: 6},
        observation=served(
            2, 4, window={"duration": answers(0.040, 0.016), "loop_lag": seconds(0.004, 10_000)}
        ).observation,
    )
    decision, _ = decide(idle)
    after = {change.tunable: change.new for change in decision.changes}
    assert after[REPORTS] * after[WORKERS] <= 6 * 2 + after[WORKERS]


def test_a_proposal_says_what_was_measured_and_nothing_else() -> None:
    waiting = postgres_seen(limit=2, hold=seconds(0.008, 48_000), wait=seconds(0.004, 48_000))
    start = served(2, 2, window={"duration": answers(0.060), "pools": waiting}, policy=policy(pool_spec()))
    assert start.observation is not None
    said = propose(start, fitted(start), OBJECTIVE)
    unsaid = propose(
        replace(start, observation=replace(start.observation, loop_lag=seconds(0, 0))), fitted(start), OBJECTIVE
    )
    assert said is not None
    assert unsaid is not None
    assert said.finding.evidence.startswith("loop lag p95 500us, CPU at 40%, postgres wait p99 4ms; p95 60ms → ")
    assert unsaid.finding.evidence.startswith("CPU at 40%, postgres wait p99 4ms; p95 60ms → ")


def test_a_change_of_replicas_holds_for_a_window() -> None:
    _, memory = decide(served(4, 6, fleet=fleet(replicas=4)))
    moved = served(4, 6, fleet=fleet(replicas=8), memory=memory)
    decision, memory = decide(moved)
    assert decision.reason is Reason.ROLLOUT_IN_PROGRESS
    assert "4 → 8 pods" in decision.message
    decision, _ = decide(served(4, 6, fleet=fleet(replicas=8), memory=memory))
    assert decision.reason is not Reason.ROLLOUT_IN_PROGRESS


def test_workers_that_nobody_names_are_not_asked_for() -> None:
    """More connections than the policy allows would help; how many workers there are is not known."""
    pools = postgres_seen(limit=2, hold=seconds(0.008, 48_000), wait=seconds(0.030), arrivals_per_worker=200.0)
    given = served(1, 2, window={"duration": answers(0.080, 0.030), "pools": pools})
    given = replace(given, policy=policy(pool_spec(maximum=2)), values={POSTGRES: 2})
    decision, _ = decide(given)
    assert decision.reason is Reason.AT_MAXIMUM
    assert WORKERS not in {change.tunable for change in (*decision.changes, *decision.uncapped)}
