"""A window of a few seconds counts where something is saturated and p95 is far above the objective, and only there."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from paceline_operator.core.decide import decide
from paceline_operator.core.laws.swamped import saturated, serves_more, swamped
from paceline_operator.core.model.decision import Reason
from paceline_operator.core.model.policy import Behavior, Bounds
from paceline_operator.core.model.tunables import WORKERS, cache
from paceline_operator.core.situation.memory import Drowned, Memory
from paceline_operator.core.situation.situation import Situation
from situations import (
    NOW,
    POSTGRES,
    decided,
    fleet,
    measured,
    observation,
    pending,
    policy,
    postgres,
    postgres_seen,
    seconds,
    situation,
    values,
    workers,
)

LATER = NOW + timedelta(hours=1)


def short(workers_now: int, size: int, *, behavior: Behavior | None = None, **window: Any) -> Situation:
    """Five seconds of four pods; nothing is wrong unless the window says so."""
    usual: dict[str, Any] = {
        "window_seconds": 5.0,
        "requests": 8000,
        "requests_per_second": 1600.0,
        "cpu_seconds": 5.0,
        "duration": seconds(0.020, 8000),
        "pools": postgres_seen(arrivals_per_worker=400.0 / workers_now, hold=seconds(0.002, 8000)),
    }
    return situation(
        values=values(workers_now, size),
        policy=policy(behavior=behavior or Behavior(min_samples=1000)),
        observation=observation(**{**usual, **window}),
        short=True,
    )


def computing(**window: Any) -> Situation:
    """One worker of which the loop never rests: p95 is 0.75 s."""
    busy: dict[str, Any] = {
        "cpu_seconds": 20.0,
        "duration": seconds(0.75, 8000),
        "loop_lag": seconds(0.028, 800),
        "pools": postgres_seen(arrivals_per_worker=240.0, hold=seconds(0.021, 5000), wait=seconds(0.7, 5000)),
    }
    return short(1, 5, **{**busy, **window})


def waiting(**window: Any) -> Situation:
    """One connection that is always checked out, for 12 ms each: requests wait 4 s for it."""
    starved = postgres_seen(arrivals_per_worker=80.0, hold=seconds(0.012, 1600), wait=seconds(4.0, 1600))
    return short(1, 1, **{"duration": seconds(4.1, 1600), "requests": 1600, "pools": starved, **window})


@pytest.mark.parametrize(
    ("given", "named"),
    [
        pytest.param(computing(), "workers", id="loops that never rest"),
        pytest.param(waiting(), "postgres", id="connections always checked out, and waited for"),
        pytest.param(computing(duration=seconds(0.080, 8000)), "", id="p95 is not far from the objective"),
        pytest.param(computing(cpu_seconds=16.0, pools=postgres_seen()), "", id="a fifth of the time to spare"),
        pytest.param(computing(loop_lag=seconds(0.004, 800), pools=postgres_seen()), "", id="nothing waits"),
        pytest.param(computing(cpu_seconds=0.0, pools={}), "", id="nobody says what is computed"),
        pytest.param(waiting(requests=49), "", id="too few responses to tell"),
        pytest.param(
            waiting(pools=postgres_seen(hold=seconds(0.012, 49), wait=seconds(4.0, 50))), "", id="too few checkouts"
        ),
        pytest.param(waiting(pools={}), "", id="no pool reports"),
        pytest.param(replace(waiting(), observation=None), "", id="no window"),
    ],
)
def test_it_is_swamped_by_hard_evidence_alone(given: Situation, named: str) -> None:
    said = swamped(given)

    assert bool(said) is bool(named)
    assert said.startswith("swamped within 5s: ") is bool(named)
    assert named in said


def test_only_what_a_worker_or_a_pool_can_end_is_saturated() -> None:
    assert saturated(computing(), WORKERS)
    assert not saturated(computing(), None)
    assert not saturated(computing(), cache("responses"))
    assert not saturated(replace(computing(), policy=policy(objective=None)), WORKERS)


def test_a_swamped_service_grows_after_seconds_and_for_that_reason() -> None:
    assert decided(computing())[0][0] == workers(1, 2)
    assert decided(waiting()) == ((postgres(1, 4),), Reason.POOL_WAIT_HIGH)

    decision, _ = decide(computing())
    assert "swamped within 5s" in decision.message
    assert decision.tuned


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(short(1, 5), id="the objective is met"),
        pytest.param(computing(duration=seconds(0.080, 8000)), id="the objective is missed, but not by far"),
        pytest.param(short(1, 5, duration=seconds(0.5, 8000)), id="slow, and nothing is saturated"),
    ],
)
def test_any_other_short_window_is_as_good_as_none(given: Situation) -> None:
    assert decided(given) == ((), Reason.INSUFFICIENT_TELEMETRY)
    assert decide(given) == decide(replace(given, observation=None))


def test_a_short_window_teaches_nothing() -> None:
    known = Memory(known=(), fastest={"postgres": 0.004})
    _, memory = decide(replace(computing(), memory=known))

    assert (memory.known, memory.noise, memory.cpu, memory.busy) == (known.known, known.noise, known.cpu, known.busy)
    assert memory.fastest == known.fastest


def test_bounds_and_the_number_of_changes_an_hour_hold_and_the_cooldown_does_not() -> None:
    lately = Memory(changes=(NOW - timedelta(seconds=8),))
    assert decided(replace(computing(), memory=lately))[0][0] == workers(1, 2)

    often = Memory(changes=tuple(NOW - timedelta(minutes=m) for m in range(1, 21)))
    assert decided(replace(computing(), memory=often)) == ((), Reason.COOLING_DOWN)

    at_most = replace(waiting(), values=values(1, 40))
    full = postgres_seen(arrivals_per_worker=80.0, hold=seconds(0.5, 1600), wait=seconds(4.0, 1600))
    assert decided(replace(at_most, observation=replace(observation(), pools=full))) == (
        (), Reason.INSUFFICIENT_TELEMETRY,
    )  # fmt: skip
    swamped_at_most = replace(at_most, observation=waiting(pools=full).observation)
    assert decided(swamped_at_most) == ((), Reason.AT_MAXIMUM)


def test_what_is_not_saturated_waits_for_a_whole_window() -> None:
    """A loop that lags beside a pool that is exhausted: only the pool grows."""
    held = postgres_seen(arrivals_per_worker=40.0, hold=seconds(0.024, 1600), wait=seconds(4.0, 1600))
    both = waiting(loop_lag=seconds(0.0056, 800), pools=held)
    assert decided(both)[0] == (postgres(1, 4),)

    pinned = policy().tunables[WORKERS]
    only_workers = policy(pinned)
    assert decided(replace(both, policy=only_workers))[0] == ()

    throttled = computing(cpu_limit=1.0, cpu_ratio=1.0, throttled_ratio=0.9)
    changes, reason = decided(throttled)
    assert (changes, reason) == ((), Reason.WITHIN_TOLERANCE)


STEP = pending(changes=(workers(1, 2), postgres(5, 5)), baseline=measured(requests_per_second=960.0, samples=4800))


@pytest.mark.parametrize(
    ("rate", "grows"),
    [
        pytest.param(1600.0, True, id="two thirds more were served"),
        pytest.param(1000.0, False, id="4 % more, which may be chance"),
        pytest.param(960.0, False, id="no more were served"),
    ],
)
def test_another_step_follows_only_one_that_serves_more(rate: float, grows: bool) -> None:
    swamped_again = replace(computing(cpu_seconds=40.0), values=values(2, 5), memory=Memory(pending=STEP))
    seen = swamped_again.observation
    assert seen is not None
    given = replace(swamped_again, observation=replace(seen, requests_per_second=rate, requests=round(5 * rate)))
    decision, memory = decide(given)

    if grows:
        assert decision.changes[0] == workers(2, 4)
    else:
        assert (decision.changes, decision.reason) == ((), Reason.COOLING_DOWN)
        assert memory.pending == STEP


def test_more_is_told_from_chance_by_counts() -> None:
    few, many = measured(requests_per_second=100.0, samples=100), measured(requests_per_second=100.0, samples=10_000)
    assert serves_more(many, measured(requests_per_second=120.0, samples=12_000))
    assert not serves_more(few, measured(requests_per_second=120.0, samples=120))
    assert not serves_more(measured(requests_per_second=0.0), many)
    assert not serves_more(many, measured(samples=0))


def test_a_database_that_drowns_loses_connections_at_once() -> None:
    drowning = Memory(
        fastest={"postgres": 0.008},
        drowned={"postgres": Drowned(connections=80, query_seconds=0.1, checkouts=1600.0, until=LATER)},
    )
    full = postgres_seen(arrivals_per_worker=100.0, hold=seconds(0.2, 4000), wait=seconds(3.0, 4000))
    given = replace(
        waiting(pools=full), values=values(1, 20), memory=drowning, fleet=fleet(total=4, reporting=4, applied=4)
    )
    changes, reason = decided(given)
    assert reason is Reason.DATABASE_SATURATED
    assert changes[0].tunable == POSTGRES
    assert changes[0].new < 20

    slow = replace(given, memory=Memory(fastest={"postgres": 0.008}))
    changes, reason = decided(slow)
    assert reason is Reason.DATABASE_SATURATED
    assert changes[0].new < 20


def test_what_was_taken_back_three_times_is_not_tried_in_a_hurry() -> None:
    lately = tuple(NOW - timedelta(minutes=m) for m in (30, 20, 10))
    assert decided(replace(computing(), memory=Memory(rollbacks=lately))) == ((), Reason.TUNING_SUSPENDED)


def test_a_verdict_on_single_pods_waits_for_a_whole_window() -> None:
    trial = pending(tried_on=("pod-1",))
    given = replace(computing(), memory=Memory(pending=trial), fleet=fleet())
    decision, _ = decide(given)
    assert decision.changes[0].new == trial.changes[0].old  # the pod has gone


def test_admission_is_not_sized_by_it() -> None:
    braking = policy(admission=Bounds(2, 100))
    step = replace(STEP, baseline=measured(requests_per_second=1600.0, samples=8000))
    decision, _ = decide(replace(computing(), policy=braking, memory=Memory(pending=step)))
    named = {str(change.tunable) for change in decision.changes}
    assert named <= {"admission.min", "admission.max", "admission.p95Seconds"}
    sized = {str(change.tunable): change.new for change in decision.changes}
    assert sized["admission.max"] == 100
