"""Choosing by the model, as a table: a fleet in words, where it goes, and the reason that is given."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from paceline_operator.core.candidates import candidates
from paceline_operator.core.capacity import propose
from paceline_operator.core.choose import budget_binds, choose, cost
from paceline_operator.core.decide import decide
from paceline_operator.core.decision import Reason, apply_changes
from paceline_operator.core.fit import fit
from paceline_operator.core.histogram import Histogram, merge
from paceline_operator.core.memory import Known, Memory, Probing
from paceline_operator.core.observation import PoolObservation
from paceline_operator.core.policy import Bounds, Objective, TunableSpec
from paceline_operator.core.predict import Model
from paceline_operator.core.probe import probe
from paceline_operator.core.situation import Budget, Situation
from paceline_operator.core.tunables import WORKERS, pool
from situations import (
    ECONOMY,
    MAIN,
    NOW,
    OBJECTIVE,
    POSTGRES,
    fleet,
    observation,
    policy,
    pool_seen,
    pool_spec,
    postgres_seen,
    seconds,
    situation,
    values,
    workers_spec,
)

REPORTS = pool("reports")
NEARLY = {"duration": seconds(0.040, 48_000), "loop_lag": seconds(0.005, 10_000)}
"""The objective is met, and there is not much room."""


def answers(p95: float, mean: float = 0.013, count: int = 48_000) -> Histogram:
    """One answer in ten takes `p95`, the others as long as the mean wants."""
    slow, others = seconds(p95, count // 10), seconds((mean - p95 / 10) / 0.9, count - count // 10)
    return merge((slow, others))


def holding(limit: int, hold: float) -> PoolObservation:
    return pool_seen(limit=limit, hold=seconds(hold, 48_000))


def served(workers: int, size: int, **changes: Any) -> Situation:
    """Four pods of 200 requests a second each, at 4 ms of CPU on two cores and one query of 6 ms."""
    window: dict[str, Any] = {
        "requests": 48_000,
        "requests_per_second": 800.0,
        "cpu_seconds": 48_000 * 0.004,
        "cpu_limit": 2.0,
        "cpu_ratio": 0.4,
        "throttled_ratio": 0.0,
        "duration": answers(0.024),
        "loop_lag": seconds(0.0005, 10_000),
        "pools": postgres_seen(
            limit=size, hold=seconds(0.008, 48_000), wait=seconds(0), arrivals_per_worker=200.0 / workers
        ),
    }
    window |= changes.pop("window", {})
    return situation(values=values(workers, size), observation=observation(**window), **changes)


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
                2, 4, policy=policy(objective=ECONOMY),
                window={"duration": answers(0.060, 0.020), "loop_lag": seconds(0.005, 10_000)},
            ),
            "more", None, Reason.LOOP_LAG_HIGH, id="economy spends what the objective needs",
        ),
        pytest.param(
            served(
                2, 4, policy=policy(objective=ECONOMY),
                window={"duration": answers(0.300, 0.060), "loop_lag": seconds(0.012, 10_000)},
            ),
            "more", None, Reason.LOOP_LAG_HIGH, id="economy takes the fastest where nothing meets the objective",
        ),
        pytest.param(
            served(2, 4, policy=policy(objective=ECONOMY), window=NEARLY, memory=Memory(loads=(160.0, 180.0))),
            "more", None, Reason.LOOP_LAG_HIGH, id="economy makes room for a load that rises",
        ),
        pytest.param(
            served(2, 4, policy=policy(objective=ECONOMY), window=NEARLY, memory=Memory(loads=(160.0, 205.0))),
            "same", "same", Reason.WITHIN_TOLERANCE, id="economy makes no room for ups and downs",
        ),
        pytest.param(
            served(2, 4, policy=policy(), window=NEARLY, memory=Memory(loads=(160.0, 180.0))),
            "more", None, Reason.LOOP_LAG_HIGH, id="latency needs no outlook to spend what is allowed",
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
            served(8, 8, policy=policy(objective=ECONOMY)),
            "fewer", "fewer", Reason.WORKERS_OVERSIZED, id="economy takes what is not needed",
        ),
        pytest.param(
            served(2, 9, policy=policy(pool_spec(), objective=ECONOMY)),
            "same", "fewer", Reason.POOL_OVERSIZED, id="economy takes connections, too",
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


def fitted(given_situation: Situation) -> Model:
    window = given_situation.observation
    assert window is not None
    model = fit(window, given_situation.values[WORKERS], {"postgres": given_situation.values[POSTGRES]})
    assert model is not None
    return model


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


def due(**changes: Any) -> Situation:
    """It is time for a probe, and all is well."""
    calm = {"loop_lag": seconds(0.00005, 10_000)}
    return served(4, 6, **{"window": calm, "memory": Memory(probing=Probing(0, NOW)), **changes})


@pytest.mark.parametrize(
    ("given_situation", "objective"),
    [
        pytest.param(due(), ECONOMY, id="economy does not try what costs more"),
        pytest.param(due(fleet=fleet(total=5, reporting=4, applied=5)), OBJECTIVE, id="a pod is silent"),
        pytest.param(
            due(policy=policy(workers_spec(4, 4), pool_spec(6, budget=MAIN)), budgets={MAIN: Budget(4 * 4 * 6, 4)}),
            OBJECTIVE,
            id="a neighbour would break a budget",
        ),
        pytest.param(
            due(policy=policy(workers_spec(4, 4), pool_spec(6, 6))), OBJECTIVE, id="bounds leave no neighbour"
        ),
    ],
)
def test_nothing_is_probed_where(given_situation: Situation, objective: Objective) -> None:
    assert probe(due(), fitted(due()), OBJECTIVE) is not None, "else there is one"
    assert probe(given_situation, fitted(due()), objective) is None


def test_a_neighbour_whose_loops_would_be_full_is_not_tried() -> None:
    busy = due(window={"requests_per_second": 4 * 700.0, "cpu_limit": None, "loop_lag": seconds(0.00005, 10_000)})
    few = replace(busy, values=values(3, 6), policy=policy(workers_spec(1, 3), pool_spec(1, 6)))
    assert fitted(few).p95(2, {"postgres": 6.0}) is None
    assert probe(few, fitted(few), OBJECTIVE) is None


@pytest.mark.parametrize(
    ("given_situation", "probed"),
    [
        pytest.param(
            served(4, 6, memory=Memory(probing=Probing(0, NOW)), window={"loop_lag": seconds(0.00005, 10_000)}),
            True, id="when it is time",
        ),
        pytest.param(served(4, 6, memory=Memory(probing=Probing(0, NOW + timedelta(hours=1)))), False, id="not before"),
        pytest.param(
            served(4, 6, memory=Memory(probing=Probing(0, NOW)), window={"loop_lag": seconds(0.00005, 10_000)},
                   fleet=fleet(total=5, reporting=4, applied=5)),
            False, id="not while a pod is silent",
        ),
        pytest.param(served(4, 6), False, id="the first look only sets the time"),
        pytest.param(
            served(4, 6, memory=Memory(probing=Probing(0, NOW)), window={"duration": answers(0.046, 0.0184)}),
            False,
            id="not while the objective is missed",
        ),
        pytest.param(
            served(4, 6, memory=Memory(probing=Probing(0, NOW)), policy=policy(objective=ECONOMY)),
            False,
            id="not with economy",
        ),
        pytest.param(
            served(4, 6, memory=Memory(probing=Probing(0, NOW)), policy=policy(TunableSpec(WORKERS, pinned=4))),
            False,
            id="nothing that may move",
        ),
    ],
)  # fmt: skip
def test_probes(given_situation: Situation, probed: bool) -> None:
    decision, memory = decide(given_situation)
    assert (decision.reason is Reason.PROBE) is probed, decision.message
    assert memory.probing.after is not None


def test_a_change_of_replicas_holds_for_a_window() -> None:
    _, memory = decide(served(4, 6, fleet=fleet(replicas=4)))
    moved = served(4, 6, fleet=fleet(replicas=8), memory=memory)
    decision, memory = decide(moved)
    assert decision.reason is Reason.ROLLOUT_IN_PROGRESS
    assert "4 → 8 pods" in decision.message
    decision, _ = decide(served(4, 6, fleet=fleet(replicas=8), memory=memory))
    assert decision.reason is not Reason.ROLLOUT_IN_PROGRESS
