"""Hard constraints: whatever is measured, no decision breaks a bound or a budget."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from paceline_operator.core.decide import decide
from paceline_operator.core.laws.constraints import fitted, most_workers, pool_limit, within_budgets
from paceline_operator.core.measure.histogram import Histogram
from paceline_operator.core.model.decision import Reason, apply_changes
from paceline_operator.core.model.policy import Bounds, Objective, Prefer, TunableSpec
from paceline_operator.core.model.tunables import WORKERS, pool
from paceline_operator.core.situation.memory import Ceiling, Known, Memory, Probing
from paceline_operator.core.situation.situation import Budget, Situation
from situations import (
    MAIN,
    NOW,
    POSTGRES,
    fleet,
    observation,
    pending,
    policy,
    pool_spec,
    postgres_seen,
    seconds,
    situation,
    values,
    workers_spec,
)

REPORTS = pool("reports")
ABSURD = st.sampled_from([0.0, -1.0, 5e-324, 1e-300, 1e300, float("inf"), float("nan")])
"""What a broken reporter may say."""


def budgeted(connections: int, pods: int = 4, **changes: Any) -> Situation:
    specs = (workers_spec(), pool_spec(budget=MAIN))
    return situation(policy=policy(*specs), budgets={MAIN: Budget(connections, pods)}, **changes)


@pytest.mark.parametrize(
    ("connections", "changes", "reason"),
    [
        pytest.param(128, {}, None, id="a budget that is just enough"),
        pytest.param(100, {POSTGRES: 6}, Reason.BUDGET_EXHAUSTED, id="a pool shrinks at once"),
        pytest.param(12, {WORKERS: 3, POSTGRES: 1}, Reason.BUDGET_EXHAUSTED, id="then workers"),
        pytest.param(3, {}, None, id="where even the least is too much nothing can shrink"),
    ],
)
def test_a_broken_budget_is_mended_without_a_window(
    connections: int, changes: Mapping[Any, float], reason: Reason | None
) -> None:
    decision, _ = decide(budgeted(connections, observation=None))
    assert {change.tunable: change.new for change in decision.changes} == changes
    if reason is not None:
        assert decision.reason is reason
        assert f"ConnectionBudget {MAIN} of {connections}" in decision.message


def test_pools_of_one_budget_are_cut_together_and_pinned_ones_are_not() -> None:
    specs = (workers_spec(), pool_spec(budget=MAIN), TunableSpec(REPORTS, pinned=3, budget=MAIN))
    shared = situation(
        policy=policy(*specs), values={**values(), REPORTS: 3}, budgets={MAIN: Budget(4 * 4 * 7, 4)}, observation=None
    )
    assert fitted(shared, {POSTGRES: 8}, 4) == {POSTGRES: 4}
    assert fitted(shared, {POSTGRES: 8}, 8) is None
    assert not within_budgets(shared, shared.values)


@pytest.mark.parametrize(
    ("given_situation", "most"),
    [
        pytest.param(situation(), 8, id="the policy's maximum"),
        pytest.param(situation(observation=observation(most_workers=5)), 5, id="memory"),
        pytest.param(situation(memory=Memory(ceiling=Ceiling(6, ""))), 5, id="a count that was killed for memory"),
        pytest.param(
            situation(memory=Memory(ceiling=Ceiling(6, "old")), fleet=fleet(template="new")),
            8,
            id="another template",
        ),
        pytest.param(situation(fleet=fleet(unregistered=("db:5432",))), 4, id="connections that nobody limits"),
        pytest.param(situation(policy=policy(pool_spec())), 4, id="workers that the policy does not name"),
    ],
)
def test_the_most_workers(given_situation: Situation, most: float) -> None:
    assert most_workers(given_situation) == most


@pytest.mark.invariant
@pytest.mark.fuzz
@settings(max_examples=examples(300))
@given(data=st.data())
def test_no_decision_breaks_a_bound_or_a_budget(data: st.DataObject) -> None:
    draw = data.draw
    low, high = sorted((draw(st.integers(1, 10)), draw(st.integers(1, 12))))
    pool_low, pool_high = sorted((draw(st.integers(1, 6)), draw(st.integers(1, 40))))
    specs = (
        TunableSpec(WORKERS, bounds=Bounds(low, high)),
        TunableSpec(POSTGRES, bounds=Bounds(pool_low, pool_high), budget=MAIN),
    )
    running = values(draw(st.integers(low, high)), draw(st.integers(pool_low, pool_high)))
    pods = draw(st.integers(1, 10))
    least = pods * low * pool_low
    requests = draw(st.sampled_from([0, 400, 20_000]))
    figure = st.one_of(st.just(0.0), st.floats(1e-6, 3.0))

    def recorded(count: int) -> Histogram:
        histogram = seconds(draw(figure), count)
        return replace(histogram, total=draw(st.one_of(st.just(histogram.total), ABSURD)))

    window = observation(
        requests=requests,
        requests_per_second=draw(st.one_of(st.floats(0.1, 5000), ABSURD)),
        duration=recorded(requests),
        loop_lag=recorded(draw(st.sampled_from([0, 1000]))),
        cpu_seconds=draw(st.one_of(st.floats(0, 1000), ABSURD)),
        cpu_ratio=draw(st.one_of(st.none(), ABSURD)),
        cpu_limit=draw(st.one_of(st.sampled_from([None, 0.5, 2.0]), ABSURD)),
        throttled_ratio=draw(st.one_of(st.sampled_from([None, 0.3]), ABSURD)),
        most_workers=draw(st.sampled_from([None, 3])),
        pools=postgres_seen(wait=recorded(1000), hold=recorded(requests), cap=64),
    )
    objective = Objective(policy().objective.limit, prefer=draw(st.sampled_from(list(Prefer))))  # type: ignore[union-attr]
    memory = Memory(
        known=(Known(running, 80.0, 0.02, 3, NOW),),
        probing=Probing(0, NOW if draw(st.booleans()) else None),
        pending=pending() if draw(st.booleans()) else None,
    )
    given_situation = situation(
        policy=policy(*specs, objective=objective),
        values=running,
        observation=window,
        memory=memory,
        fleet=fleet(replicas=draw(st.sampled_from([0, 4]))),
        budgets={MAIN: Budget(draw(st.integers(least, 40 * least)), pods)},
    )

    decision, memory = decide(given_situation)
    assert decide(given_situation) == (decision, memory), "the same situation gives the same decision"
    after = apply_changes(running, decision.changes)
    if decision.reason is not Reason.ROLLED_BACK:
        assert low <= after[WORKERS] <= high
        assert pool_low <= after[POSTGRES] <= pool_high
        assert within_budgets(given_situation, after)
    assert all(change.new == change.new and change.new >= 1 for change in decision.changes), "no NaN, nothing below 1"


def test_a_roll_back_that_would_break_a_budget_is_cut_by_the_next_pass() -> None:
    broken = replace(budgeted(64), values=values(4, 8))
    decision, memory = decide(broken)
    assert decision.reason is Reason.BUDGET_EXHAUSTED
    assert memory.pending is None


def test_a_pool_is_limited_by_what_its_pods_clamp_and_by_a_budget_that_cannot_be_read() -> None:
    free = situation(observation=None)
    spec = pool_spec(budget="data/unread")
    assert pool_limit(free, pool_spec(), 4) == 40
    assert pool_limit(free, spec, 8) == 4, "its total stays"
    assert pool_limit(replace(free, fleet=fleet(clamped={POSTGRES: "cap"})), pool_spec(), 4) == 8
    assert pool_limit(free, TunableSpec(POSTGRES, pinned=3), 4) == 3
    assert pool_limit(free, TunableSpec(REPORTS, bounds=Bounds(1, 9)), 4) == 0, "nobody reports its size"


def test_a_budget_that_no_known_pool_draws_from_limits_nothing() -> None:
    assert within_budgets(situation(budgets={MAIN: Budget(1, 4)}), values())


@pytest.mark.parametrize(
    ("cores", "most"),
    [pytest.param(None, 8, id="nobody says"), pytest.param(3, 3, id="three"), pytest.param(64, 8, id="many")],
)
def test_a_worker_for_each_core_of_the_node_and_no_more(cores: int | None, most: int) -> None:
    assert most_workers(situation(observation=observation(cores=cores))) == most


def test_loops_that_lag_on_two_cores_get_no_third_worker() -> None:
    lagging = observation(loop_lag=seconds(0.05), cores=2, requests_per_second=333.0)
    decision, _ = decide(situation(values=values(2, 8), observation=lagging))
    assert all(change.tunable != WORKERS for change in decision.changes)
    more, _ = decide(situation(values=values(2, 8), observation=replace(lagging, cores=None)))
    assert more.changes[0].tunable == WORKERS
