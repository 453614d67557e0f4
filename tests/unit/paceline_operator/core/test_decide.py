"""The composed decision: what goes before what, what is remembered, and what holds for every situation."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline_operator.core.decide import decide
from paceline_operator.core.model.decision import Change, Decision, Reason
from paceline_operator.core.model.policy import TunableSpec
from paceline_operator.core.model.tunables import WORKERS, cache
from paceline_operator.core.situation.memory import Memory
from paceline_operator.core.situation.situation import Situation
from situations import (
    LAGGING,
    POSTGRES,
    WAITING,
    decided,
    fleet,
    measured,
    observation,
    pending,
    policy,
    pool_spec,
    postgres,
    postgres_seen,
    seconds,
    situation,
    values,
    workers,
    workers_spec,
)


@pytest.mark.parametrize(
    ("given_situation", "changes", "reason"),
    [
        pytest.param(situation(), (), Reason.WITHIN_TOLERANCE, id="nothing is wrong"),
        pytest.param(
            situation(fleet=fleet(too_old=("pod-1", "pod-2")), values=values(9, 8)),
            (),
            Reason.RUNTIME_TOO_OLD,
            id="a runtime that is too old is asked nothing, not even pinned values",
        ),
        pytest.param(
            situation(policy=policy(TunableSpec(WORKERS, pinned=2)), fleet=fleet(rolling_out=True), observation=None),
            (workers(4, 2),),
            Reason.PINNED_BY_SPEC,
            id="a pinned value is carried out at once, measured or not, rollout or not",
        ),
        pytest.param(
            situation(policy=policy(workers_spec(1, 3), pool_spec()), observation=None),
            (workers(4, 3),),
            Reason.CLAMPED,
            id="a value outside its bounds is moved into them at once",
        ),
        pytest.param(
            situation(policy=policy(TunableSpec(cache("responses"), pinned=5.0)), observation=None),
            (Change(cache("responses"), None, 5.0),),
            Reason.PINNED_BY_SPEC,
            id="a pinned tunable that nobody reports is written all the same",
        ),
        pytest.param(
            situation(policy=policy(TunableSpec(WORKERS, pinned=4), objective=None)),
            (),
            Reason.PINNED_BY_SPEC,
            id="a policy that pins everything leaves nothing to decide",
        ),
        pytest.param(
            situation(
                memory=Memory(pending=pending()),
                observation=observation(loop_lag=LAGGING, duration=seconds(0.030), requests_per_second=500.0),
            ),
            (),
            Reason.COOLING_DOWN,
            id="a change whose verdict is open holds the next one",
        ),
        pytest.param(
            situation(memory=Memory(pending=pending()), observation=observation(duration=seconds(0.050))),
            (workers(4, 2), postgres(8, 10)),
            Reason.ROLLED_BACK,
            id="a change that made things worse is rolled back before anything else is tuned",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=LAGGING, pools=WAITING)),
            (workers(4, 5),),
            Reason.LOOP_LAG_HIGH,
            id="loop lag goes before pool waits",
        ),
    ],
)
def test_what_goes_before_what(given_situation: Situation, changes: tuple[Change, ...], reason: Reason) -> None:
    assert decided(given_situation) == (changes, reason)


def test_what_a_request_costs_is_learnt_only_from_loops_that_rest() -> None:
    """Loops that never rest answer fewer than they work on: the cost of one more worker would come out as nothing."""
    _, rested = decide(situation(observation=observation(loop_lag=LAGGING, cpu_seconds=0.5 * 60 * 4 * 4)))
    _, swamped = decide(situation(observation=observation(loop_lag=LAGGING, cpu_seconds=0.99 * 60 * 4 * 4)))

    assert set(rested.cpu) == {4}
    assert swamped.cpu == {}


def test_a_person_voids_the_verdict_on_what_was_tuned() -> None:
    _, memory = decide(situation(policy=policy(TunableSpec(WORKERS, pinned=2)), memory=Memory(pending=pending())))

    assert memory.pending is None


def test_a_change_that_helped_becomes_the_last_known_good_and_tuning_goes_on() -> None:
    before = situation(
        memory=Memory(pending=pending(baseline=measured(p95_seconds=0.2))), observation=observation(loop_lag=LAGGING)
    )

    decision, memory = decide(before)

    assert decision.reason is Reason.LOOP_LAG_HIGH
    assert memory.pending is None
    assert memory.last_known_good == before.values


def test_the_first_window_is_remembered() -> None:
    _, memory = decide(situation())

    assert memory.first is not None
    assert memory.first.p95_seconds == pytest.approx(0.020)
    _, later = decide(situation(memory=memory, observation=observation(duration=seconds(0.010))))
    assert later.first == memory.first


lags = st.floats(0.0, 1.0)
situations = st.builds(
    lambda lag, wait, rate, count, size, throttled, cpu, maximum: situation(
        policy=policy(workers_spec(1, maximum), pool_spec(1, 40)),
        values=values(min(count, maximum), size),
        observation=observation(
            loop_lag=seconds(lag),
            throttled_ratio=throttled,
            cpu_ratio=cpu,
            pools=postgres_seen(wait=seconds(wait), arrivals_per_worker=rate),
        ),
    ),
    lag=lags,
    wait=lags,
    rate=st.floats(0.0, 5000.0),
    count=st.integers(1, 16),
    size=st.integers(1, 40),
    throttled=st.none() | st.floats(0, 1),
    cpu=st.none() | st.floats(0, 2),
    maximum=st.integers(1, 16),
)


@given(situations)
def test_a_decision_stays_within_bounds_and_steps(given_situation: Situation) -> None:
    decision, _ = decide(given_situation)

    for change in decision.changes:
        spec = given_situation.policy.tunables[change.tunable]
        assert spec.bounds is not None
        assert spec.bounds.minimum <= change.new <= spec.bounds.maximum
        assert change.old is not None
        # A pool that is always lent has seen fewer arrivals than there are.
        assert change.new <= max((2 if change.tunable == WORKERS else 4) * change.old, change.old + 1)
        assert change.new != change.old


@given(situations)
def test_the_same_situation_gives_the_same_decision(given_situation: Situation) -> None:
    assert decide(given_situation) == decide(replace(given_situation))


def _workers_after(decision: Decision, before: Situation) -> float:
    return next((c.new for c in decision.changes if c.tunable == WORKERS), before.values[WORKERS])


@given(situations, lags, lags)
def test_more_loop_lag_never_means_fewer_workers(base: Situation, one: float, other: float) -> None:
    assert base.observation is not None
    less, more = (
        replace(base, observation=replace(base.observation, loop_lag=seconds(x))) for x in sorted((one, other))
    )

    assert _workers_after(decide(less)[0], less) <= _workers_after(decide(more)[0], more)


@given(situations)
def test_connections_of_a_pod_grow_at_most_with_a_reason_to(given_situation: Situation) -> None:
    """Adding workers never multiplies the pool: the pool per worker does not grow in the same step."""
    decision, _ = decide(given_situation)
    changed: dict[Any, Change] = {change.tunable: change for change in decision.changes}

    if WORKERS in changed and POSTGRES in changed:
        assert changed[POSTGRES].new < given_situation.values[POSTGRES]
