"""The composed decision, as a table: a situation in words, what is done, and the one reason."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline_operator.core.decide import decide
from paceline_operator.core.memory import Memory, Oversized, Rejected
from paceline_operator.core.model import (
    ADMISSION_MAX,
    ADMISSION_MIN,
    ADMISSION_P95,
    WORKERS,
    Behavior,
    Bounds,
    Change,
    Decision,
    Reason,
    TunableSpec,
    cache,
)
from paceline_operator.core.situation import Budget, Situation
from situations import (
    NOW,
    POSTGRES,
    fleet,
    measured,
    observation,
    pending,
    policy,
    pool_seen,
    pool_spec,
    seconds,
    situation,
    values,
    workers_spec,
)

MAIN = "data/main"
LAGGING = seconds(0.010)
WAITING = {"postgres": pool_seen(wait=seconds(0.012), arrivals_per_worker=800.0)}


def workers(old: int, new: int) -> Change:
    return Change(WORKERS, old, new)


def postgres(old: int, new: int) -> Change:
    return Change(POSTGRES, old, new)


@pytest.mark.parametrize(
    ("given_situation", "changes", "reason"),
    [
        pytest.param(situation(), (), Reason.WITHIN_TOLERANCE, id="nothing is wrong"),
        pytest.param(
            situation(observation=observation(loop_lag=LAGGING, cpu_seconds=float("nan"))),
            (),
            Reason.INSUFFICIENT_TELEMETRY,
            id="a figure that is no number counts as none",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=LAGGING)),
            (workers(4, 5), postgres(8, 7)),
            Reason.LOOP_LAG_HIGH,
            id="loop lag adds a worker and takes the pool along",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=seconds(0.050))),
            (workers(4, 8), postgres(8, 4)),
            Reason.LOOP_LAG_HIGH,
            id="loop lag above five times its threshold doubles the workers",
        ),
        pytest.param(
            situation(
                values=values(2, 5),
                observation=observation(
                    loop_lag=seconds(0.0332), pools={"postgres": pool_seen(arrivals_per_worker=180.0)}
                ),
            ),
            (workers(2, 4), postgres(5, 4)),
            Reason.LOOP_LAG_HIGH,
            id="the worked example: workers 2→4, postgres 5→4",
        ),
        pytest.param(
            situation(policy=policy(workers_spec(1, 5)), observation=observation(loop_lag=seconds(0.050))),
            (workers(4, 5),),
            Reason.LOOP_LAG_HIGH,
            id="a doubling is capped by the policy's maximum",
        ),
        pytest.param(
            situation(policy=policy(workers_spec(1, 4)), observation=observation(loop_lag=LAGGING)),
            (),
            Reason.AT_MAXIMUM,
            id="no worker is added above the maximum",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=seconds(0.0056))),
            (),
            Reason.WITHIN_TOLERANCE,
            id="loop lag just over its threshold is within the tolerance",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=seconds(0.010, count=19))),
            (),
            Reason.WITHIN_TOLERANCE,
            id="a handful of lag samples proves nothing",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=LAGGING, throttled_ratio=0.2, cpu_ratio=0.6)),
            (),
            Reason.THROTTLING_HIGH,
            id="throttling vetoes another worker",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=LAGGING, throttled_ratio=0.0, cpu_ratio=0.9)),
            (),
            Reason.SCALE_OUT_RECOMMENDED,
            id="a full CPU needs more pods, not more workers",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=LAGGING, throttled_ratio=None, cpu_ratio=None)),
            (workers(4, 5), postgres(8, 7)),
            Reason.LOOP_LAG_HIGH,
            id="without a CPU limit, as on a laptop, there is no CPU veto",
        ),
        pytest.param(
            situation(observation=observation(pools=WAITING)),
            (postgres(8, 11),),
            Reason.POOL_WAIT_HIGH,
            id="pool waits grow the pool to what Erlang-C says",
        ),
        pytest.param(
            situation(values=values(4, 2), observation=observation(pools=WAITING)),
            (postgres(2, 8),),
            Reason.POOL_WAIT_HIGH,
            id="a pool that is always lent grows at most to four times its size",
        ),
        pytest.param(
            situation(
                values=values(4, 1),
                observation=observation(
                    pools={"postgres": pool_seen(wait=seconds(0.02), hold=seconds(0.006), arrivals_per_worker=140.0)}
                ),
            ),
            (postgres(1, 2),),
            Reason.POOL_WAIT_HIGH,
            id="any other at most to its double",
        ),
        pytest.param(
            situation(
                observation=observation(pools={"postgres": pool_seen(wait=seconds(0.012), arrivals_per_worker=20.0)})
            ),
            (postgres(8, 9),),
            Reason.POOL_WAIT_HIGH,
            id="measured waits grow a pool that theory calls large enough",
        ),
        pytest.param(
            situation(observation=observation(pools={"postgres": pool_seen(arrivals_per_worker=800.0)})),
            (),
            Reason.WITHIN_TOLERANCE,
            id="theory alone, without waits, grows nothing",
        ),
        pytest.param(
            situation(
                observation=observation(
                    pools={"postgres": pool_seen(wait=seconds(0.012), arrivals_per_worker=800.0, cap=10)}
                )
            ),
            (postgres(8, 10),),
            Reason.POOL_WAIT_HIGH,
            id="a pool grows no further than its constructor allows",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=LAGGING, pools=WAITING)),
            (workers(4, 5),),
            Reason.LOOP_LAG_HIGH,
            id="loop lag goes before pool waits",
        ),
        pytest.param(
            situation(
                policy=policy(TunableSpec(WORKERS, pinned=4), pool_spec()),
                observation=observation(loop_lag=LAGGING, pools=WAITING),
            ),
            (postgres(8, 11),),
            Reason.POOL_WAIT_HIGH,
            id="with pinned workers the pool is tuned all the same",
        ),
        pytest.param(
            situation(policy=policy(pool_spec()), observation=observation(loop_lag=LAGGING)),
            (),
            Reason.PINNED_BY_SPEC,
            id="workers that the policy does not name are never touched",
        ),
        pytest.param(
            situation(values=values(4, 6), memory=Memory(oversized={"postgres": Oversized(4, 4)})),
            (),
            Reason.WITHIN_TOLERANCE,
            id="a pool that fits ends its run of oversized windows",
        ),
        pytest.param(
            situation(
                values=values(4, 20),
                memory=Memory(oversized={"postgres": Oversized(4, 7)}),
            ),
            (postgres(20, 9),),
            Reason.POOL_OVERSIZED,
            id="the fifth oversized window shrinks the pool by one",
        ),
        pytest.param(
            situation(
                values=values(4, 20),
                memory=Memory(oversized={"postgres": Oversized(4, 7)}),
                observation=observation(turned_away=21),
            ),
            (),
            Reason.REQUESTS_TURNED_AWAY,
            id="nothing is given back while requests are turned away",
        ),
        pytest.param(
            situation(
                values=values(4, 20),
                memory=Memory(oversized={"postgres": Oversized(4, 7)}),
                observation=observation(turned_away=20),
            ),
            (postgres(20, 9),),
            Reason.POOL_OVERSIZED,
            id="one in a thousand is a burst",
        ),
        pytest.param(
            situation(
                observation=observation(loop_lag=LAGGING),
                policy=policy(admission=Bounds(4, 64)),
                values={**values(), ADMISSION_MAX: 5.0, ADMISSION_MIN: 4.0, ADMISSION_P95: 0.045},
                memory=Memory(rejected=(Rejected(values(5, 7), NOW + timedelta(minutes=9)),)),
            ),
            (),
            Reason.COOLING_DOWN,
            id="what was rejected under other bounds of admission stays rejected",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=LAGGING, turned_away=9000)),
            (workers(4, 5), postgres(8, 7)),
            Reason.LOOP_LAG_HIGH,
            id="where loops lag and requests are turned away a worker is added",
        ),
        pytest.param(
            situation(values=values(4, 20), memory=Memory(oversized={"postgres": Oversized(3, 7)})),
            (),
            Reason.WITHIN_TOLERANCE,
            id="the fourth does not",
        ),
        pytest.param(
            situation(observation=observation(duration=seconds(0.090))),
            (),
            Reason.OBJECTIVE_INFEASIBLE,
            id="slow without lag or waits is beyond these tunables",
        ),
        pytest.param(
            situation(fleet=fleet(unregistered=("10.0.0.7:5432",)), observation=observation(loop_lag=LAGGING)),
            (),
            Reason.UNREGISTERED_POOL,
            id="a pool nobody registered holds the workers",
        ),
        pytest.param(
            situation(
                fleet=fleet(clamped={WORKERS: "asked 5, granted 4, by memory"}),
                observation=observation(loop_lag=LAGGING),
            ),
            (),
            Reason.CLAMPED,
            id="pods that clamp workers are not asked for more",
        ),
        pytest.param(
            situation(
                policy=policy(workers_spec(), pool_spec(budget="data/main")),
                observation=observation(pools=WAITING),
            ),
            (),
            Reason.BUDGET_NOT_FOUND,
            id="a pool whose budget is missing does not grow",
        ),
        pytest.param(
            situation(
                policy=policy(workers_spec(), pool_spec(budget="data/main")),
                observation=observation(loop_lag=LAGGING),
            ),
            (workers(4, 5), postgres(8, 6)),
            Reason.LOOP_LAG_HIGH,
            id="workers grow within the connections that a missing budget leaves",
        ),
        pytest.param(
            situation(
                policy=policy(workers_spec(), pool_spec(8, budget="data/main")),
                observation=observation(loop_lag=LAGGING),
            ),
            (),
            Reason.BUDGET_NOT_FOUND,
            id="workers do not grow where the pool may not shrink for them",
        ),
        pytest.param(
            situation(memory=Memory(changes=(NOW - timedelta(seconds=30),)), observation=observation(loop_lag=LAGGING)),
            (),
            Reason.COOLING_DOWN,
            id="within the cooldown nothing is tuned",
        ),
        pytest.param(
            situation(
                policy=policy(behavior=Behavior(min_samples=1000, max_changes_per_hour=2)),
                memory=Memory(changes=(NOW - timedelta(minutes=50), NOW - timedelta(minutes=5))),
                observation=observation(loop_lag=LAGGING),
            ),
            (),
            Reason.COOLING_DOWN,
            id="the changes of an hour are counted",
        ),
        pytest.param(
            situation(
                memory=Memory(rejected=(Rejected(values(5, 7), NOW + timedelta(minutes=1)),)),
                observation=observation(loop_lag=LAGGING),
            ),
            (),
            Reason.COOLING_DOWN,
            id="values that were rolled back are not tried again at once",
        ),
        pytest.param(
            situation(
                memory=Memory(rejected=(Rejected(values(5, 7), NOW - timedelta(minutes=1)),)),
                observation=observation(loop_lag=LAGGING),
            ),
            (workers(4, 5), postgres(8, 7)),
            Reason.LOOP_LAG_HIGH,
            id="but they are tried again later",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=LAGGING, cpu_seconds=0.99 * 60 * 4 * 4)),
            (workers(4, 8), postgres(8, 4)),
            Reason.LOOP_LAG_HIGH,
            id="loops that never rest double the workers where lag alone would add one",
        ),
        pytest.param(
            situation(
                observation=observation(loop_lag=LAGGING, throttled_ratio=0.2, cpu_ratio=0.6, cpu_limit=2.0),
            ),
            (workers(4, 2),),
            Reason.THROTTLING_HIGH,
            id="throttled workers beyond the cores go, two at a time",
        ),
        pytest.param(
            situation(
                policy=policy(workers_spec(), pool_spec(budget=MAIN)),
                budgets={MAIN: Budget(4 * 4 * 9, 4)},
                observation=observation(pools=WAITING),
            ),
            (postgres(8, 9),),
            Reason.POOL_WAIT_HIGH,
            id="a pool grows no further than its budget",
        ),
        pytest.param(
            situation(
                policy=policy(workers_spec(), pool_spec(budget=MAIN)),
                budgets={MAIN: Budget(4 * 4 * 8, 4)},
                observation=observation(pools=WAITING),
            ),
            (),
            Reason.BUDGET_EXHAUSTED,
            id="a budget without room holds a pool",
        ),
        pytest.param(
            situation(
                policy=policy(workers_spec(), pool_spec(5, budget=MAIN)),
                budgets={MAIN: Budget(4 * 4 * 8, 4)},
                observation=observation(loop_lag=seconds(0.050)),
            ),
            (workers(4, 6), postgres(8, 5)),
            Reason.LOOP_LAG_HIGH,
            id="workers grow as far as their pools' least fits the budget",
        ),
        pytest.param(
            situation(
                policy=policy(workers_spec(), pool_spec(8, budget=MAIN)),
                budgets={MAIN: Budget(4 * 4 * 8, 4)},
                observation=observation(loop_lag=LAGGING),
            ),
            (),
            Reason.BUDGET_EXHAUSTED,
            id="workers do not grow where the budget has no room for their pools",
        ),
        pytest.param(
            situation(
                fleet=fleet(total=5, reporting=5, applied=5),
                observation=observation(loop_lag=LAGGING),
            ),
            (workers(4, 5), postgres(8, 7)),
            Reason.LOOP_LAG_HIGH,
            id="while a pod is silent a worker is added all the same",
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
            situation(
                observation=observation(pools={"postgres": pool_seen(wait=seconds(0.012), hold=seconds(0.006, 49))})
            ),
            (),
            Reason.WITHIN_TOLERANCE,
            id="a pool with few checkouts proves nothing",
        ),
        pytest.param(
            situation(values={WORKERS: 4}, observation=observation(loop_lag=LAGGING, pools=WAITING)),
            (workers(4, 5),),
            Reason.LOOP_LAG_HIGH,
            id="a pool whose size nobody reports is left out",
        ),
        pytest.param(
            situation(fleet=fleet(too_old=("pod-1", "pod-2")), values=values(9, 8)),
            (),
            Reason.RUNTIME_TOO_OLD,
            id="a runtime that is too old is asked nothing, not even pinned values",
        ),
        pytest.param(
            situation(fleet=fleet(total=0, reporting=0, applied=0), observation=None),
            (),
            Reason.NOT_REPORTING,
            id="a target without pods holds",
        ),
        pytest.param(
            situation(fleet=fleet(reporting=0, applied=0), observation=None),
            (),
            Reason.NOT_REPORTING,
            id="silent pods hold",
        ),
        pytest.param(
            situation(fleet=fleet(reporting=0, applied=0), observation=None, telemetry_age_seconds=700.0),
            (),
            Reason.TELEMETRY_STALE,
            id="silence of more than ten minutes is stale telemetry",
        ),
        pytest.param(
            situation(fleet=fleet(rolling_out=True), observation=observation(loop_lag=LAGGING)),
            (),
            Reason.ROLLOUT_IN_PROGRESS,
            id="a rollout freezes tuning",
        ),
        pytest.param(
            situation(fleet=fleet(shrink_blocked="postgres holds 5 of 3", applied=3)),
            (),
            Reason.SHRINK_BLOCKED,
            id="a blocked shrink is said before it is called not converged",
        ),
        pytest.param(situation(fleet=fleet(applied=3)), (), Reason.NOT_CONVERGED, id="a pod that has not acked holds"),
        pytest.param(
            situation(fleet=fleet(reporting=3)),
            (),
            Reason.INSUFFICIENT_TELEMETRY,
            id="three of four pods are not enough",
        ),
        pytest.param(situation(observation=None), (), Reason.INSUFFICIENT_TELEMETRY, id="no window yet is no decision"),
        pytest.param(
            situation(observation=observation(pods=3)),
            (),
            Reason.INSUFFICIENT_TELEMETRY,
            id="windows of three of four pods are not enough",
        ),
        pytest.param(
            situation(observation=observation(requests=999)),
            (),
            Reason.INSUFFICIENT_TELEMETRY,
            id="too few requests are not enough",
        ),
        pytest.param(
            situation(observation=observation(requests=0, duration=seconds(0.02, 0))),
            (),
            Reason.NO_TRAFFIC,
            id="no requests at all is no traffic",
        ),
        pytest.param(
            situation(policy=policy(TunableSpec(WORKERS, pinned=4), objective=None)),
            (),
            Reason.PINNED_BY_SPEC,
            id="a policy that pins everything leaves nothing to decide",
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
    ],
)
def test_decision(given_situation: Situation, changes: tuple[Change, ...], reason: Reason) -> None:
    decision, _ = decide(given_situation)

    assert decision.reason is reason
    assert decision.changes == changes
    assert decision.message


def test_the_message_of_a_change_has_its_numbers() -> None:
    decision, _ = decide(situation(observation=observation(loop_lag=seconds(0.0332))))

    assert decision.message == ("workers 4→8, postgres 8→4: loop lag p95 33.2ms > 5.4ms; n=20000, generation 17")


def test_loops_that_never_rest_are_named() -> None:
    decision, _ = decide(situation(observation=observation(loop_lag=LAGGING, cpu_seconds=0.99 * 60 * 4 * 4)))

    assert "loop lag p95 10ms > 5.4ms, loops busy 99% of the time" in decision.message


def test_what_a_request_costs_is_learnt_only_from_loops_that_rest() -> None:
    """Loops that never rest answer fewer than they work on: the cost of one more worker would come out as nothing."""
    _, rested = decide(situation(observation=observation(loop_lag=LAGGING, cpu_seconds=0.5 * 60 * 4 * 4)))
    _, swamped = decide(situation(observation=observation(loop_lag=LAGGING, cpu_seconds=0.99 * 60 * 4 * 4)))

    assert set(rested.cpu) == {4}
    assert swamped.cpu == {}


def test_what_the_signals_alone_ask_for_is_kept_beside_what_is_allowed() -> None:
    decision, _ = decide(situation(policy=policy(workers_spec(1, 5)), observation=observation(loop_lag=seconds(0.050))))

    assert decision.uncapped == (workers(4, 8),)
    assert decision.limited_by is Reason.AT_MAXIMUM


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
            pools={"postgres": pool_seen(wait=seconds(wait), arrivals_per_worker=rate)},
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


@pytest.mark.parametrize(
    ("minutes_ago", "suspended"),
    [
        pytest.param((), False, id="nothing was taken back"),
        pytest.param((20, 5), False, id="twice is no pattern"),
        pytest.param((50, 20, 5), True, id="three times within an hour"),
        pytest.param((90, 20, 5), False, id="three times, but not within an hour"),
        pytest.param((115, 90, 59), True, id="it lasts an hour from the last time on"),
        pytest.param((115, 90, 60), False, id="and then it is over"),
    ],
)
def test_the_breaker(minutes_ago: tuple[int, ...], suspended: bool) -> None:
    memory = Memory(rollbacks=tuple(NOW - timedelta(minutes=minutes) for minutes in minutes_ago))

    decision, _ = decide(situation(memory=memory, observation=observation(loop_lag=LAGGING)))

    assert (decision.reason is Reason.TUNING_SUSPENDED) is suspended
    assert bool(decision.changes) is not suspended
