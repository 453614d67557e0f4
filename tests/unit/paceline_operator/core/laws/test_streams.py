"""Services of streams with hardly a request: pools are tuned by their waits, workers stay, and it is said in words."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from paceline_operator.core.choice.learning import model_of
from paceline_operator.core.decide import decide
from paceline_operator.core.laws.streams import judged_by_waits, observed
from paceline_operator.core.measure.histogram import Histogram
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.measure.observe import PodWindow
from paceline_operator.core.measure.pods import PodState, PoolCounters
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.model.policy import Bounds, Objective
from paceline_operator.core.model.tunables import ADMISSION_MAX, WORKERS
from paceline_operator.core.situation.memory import Busy, Known, Measured, Memory
from paceline_operator.core.situation.room import HEADROOM, planned_rise
from paceline_operator.core.situation.situation import Member, Situation
from paceline_operator.core.verdict.canary import judge
from paceline_operator.core.verdict.verify import verify
from situations import (
    COST,
    LAGGING,
    NOW,
    POSTGRES,
    decided,
    fleet,
    observation,
    pending,
    policy,
    pool_seen,
    postgres_seen,
    seconds,
    situation,
)

LEAST = 1000
LONG, SHORT = seconds(0.012, 9000), seconds(0.0001, 9000)


def streams(wait: Histogram = SHORT, **changes: Any) -> Observation:
    """Four pods with 200 WebSockets, three requests and 9,000 checkouts, of which each takes 6 ms."""
    pools = postgres_seen(wait=wait, hold=seconds(0.006, wait.count or 1), arrivals_per_worker=9.4)
    seen = observation(**{
        "requests": 3, "duration": seconds(0.02, 3), "requests_per_second": 0.05, "open": 200, "busiest": 7.0,
        "pools": pools, **changes,
    })  # fmt: skip
    return judged_by_waits(seen, COST, LEAST)


def given(seen: Observation, **changes: Any) -> Situation:
    return situation(**{"policy": policy(objective=COST), "observation": seen, **changes})


def test_the_waits_of_pools_stand_for_responses() -> None:
    seen = streams(LONG)

    assert seen.by_waits
    assert (seen.requests, seen.requests_per_second, seen.busiest) == (9000, 150.0, None)
    assert seen.figure.told(seen.response_seconds or 0.0) == "wait for postgres p99 12ms"
    assert seen.response_seconds == pytest.approx(0.012 / 0.08, rel=0.01), "in the unit of the objective, 45ms"
    assert seen.p95 is None


@pytest.mark.parametrize(
    ("changes", "objective"),
    [
        pytest.param({"open": 2}, COST, id="hardly a stream"),
        pytest.param({"requests": 1000}, COST, id="enough requests"),
        pytest.param({"pools": {}}, COST, id="no pool"),
        pytest.param({"pools": postgres_seen(wait=Histogram())}, COST, id="no checkout"),
        pytest.param({}, None, id="no objective"),
    ],
)
def test_all_else_is_left_as_it_was_measured(changes: dict[str, Any], objective: Objective | None) -> None:
    seen = replace(streams(), **{"by_waits": False, "requests": 3, "requests_per_second": 0.05, **changes})
    assert judged_by_waits(seen, objective, LEAST) is seen


@pytest.mark.parametrize(
    ("seen", "reason", "told"),
    [
        pytest.param(
            streams(pools={}),
            Reason.STREAMS_ONLY,
            "200 streams or WebSockets are open, 3 requests in 1m: there are no response times to tune by",
            id="no pool",
        ),
        pytest.param(
            streams(seconds(0.0001, 900)),
            Reason.STREAMS_ONLY,
            "900 checkouts in 1m: there are no response times to tune by, and pools are tuned by the waits of 1000",
            id="few checkouts",
        ),
        pytest.param(streams(requests=0, open=0), Reason.NO_TRAFFIC, "no requests in 1m", id="neither"),
    ],
)
def test_what_cannot_be_tuned_is_said(seen: Observation, reason: Reason, told: str) -> None:
    decision, _ = decide(given(seen))
    assert (decision.changes, decision.reason) == ((), reason)
    assert told in decision.message


def test_a_pool_that_messages_wait_for_grows_whatever_requests_took_under_such_a_load() -> None:
    values = {WORKERS: 4, POSTGRES: 1}
    memory = Memory(known=(Known(values, 150 / 4, 0.010, 9, NOW, ""),))
    decision, _ = decide(given(streams(LONG), values=values, memory=memory))
    assert decision.reason is Reason.POOL_WAIT_HIGH
    assert [change.tunable for change in decision.changes] == [POSTGRES]


def test_one_that_is_too_large_is_given_back_and_nothing_is_learnt_of_requests() -> None:
    memory = Memory(busy=(Busy(NOW - timedelta(minutes=20), 900.0),))
    for _ in range(5):
        decision, memory = decide(given(streams(), memory=memory))

    assert (decision.changes, decision.reason) == ((Change(POSTGRES, 8, 3),), Reason.POOL_OVERSIZED)
    assert memory.known == ()
    assert [slot.load for slot in memory.busy] == [900.0]


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(streams(loop_lag=LAGGING), id="by waits"),
        pytest.param(streams(loop_lag=seconds(0.2), pools={}), id="with nothing to judge them by"),
    ],
)
def test_workers_stay_where_streams_are(seen: Observation) -> None:
    decision, _ = decide(given(replace(seen, pools={**seen.pools, "redis": pool_seen()})))
    assert (decision.changes, decision.reason) == ((), Reason.STREAMS_ONLY)
    assert "with 200 streams open, adding a worker would not relieve the others, and removing one" in decision.message


def test_a_worker_more_may_help_where_requests_tell() -> None:
    told = situation(observation=observation(loop_lag=LAGGING, open=100_000))
    assert WORKERS in [change.tunable for change in decide(told)[0].changes]


def test_admission_is_not_sized_by_waits() -> None:
    rules = policy(objective=COST, admission=Bounds(16, 512))
    named = given(streams(), policy=rules)
    decision, _ = decide(named)
    named = replace(named, values={**named.values, **{change.tunable: change.new for change in decision.changes}})
    assert named.values[ADMISSION_MAX] == 512
    assert decided(named) == ((), Reason.WITHIN_TOLERANCE)


def test_neither_model_nor_room_is_of_requests() -> None:
    memory = Memory(busy=(Busy(NOW - timedelta(minutes=20), 900.0),))
    told = given(streams(cpu_seconds=100.0), memory=memory)
    assert model_of(told) is None
    assert planned_rise(told) == HEADROOM


def test_what_is_open_is_counted_over_all_pods() -> None:
    def windows(**now: Any) -> list[PodWindow]:
        return [PodWindow(PodState("then", 1000.0, 1), PodState("then", 1060.0, 1, open=7, **now))] * 2

    messages = {"postgres": PoolCounters(5, 40, 0, SHORT, SHORT)}
    alone, working = (observed(found, policy(objective=COST)) for found in (windows(), windows(pools=messages)))

    assert alone is not None
    assert working is not None
    assert (alone.open, alone.by_waits, working.by_waits) == (14, False, True)
    assert observed([], policy(objective=COST)) is None


BY_WAITS, BY_REQUESTS = streams(), observation(duration=seconds(4.0, 1000), errors=500, requests=1200)
GROWN = (Change(POSTGRES, 4, 8),)


@pytest.mark.invariant
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(BY_WAITS, BY_REQUESTS, id="waits, then requests"),
        pytest.param(observation(), streams(seconds(4.0, 1200)), id="requests, then waits"),
    ],
)
def test_waits_and_requests_do_not_compare(before: Observation, after: Observation) -> None:
    baseline = Measured.of(before)
    assert baseline is not None
    waiting = pending(changes=GROWN, baseline=baseline)
    memory = Memory(pending=waiting)
    decision, kept = verify(given(after, memory=memory))
    assert (decision, kept) == (None, memory)

    late = Memory(pending=replace(waiting, deadline=NOW))
    decision, kept = verify(given(after, memory=late))
    assert decision is not None
    assert "no verdict before its deadline" in decision.message
    assert kept.pending is None


def test_waits_and_waits_do() -> None:
    baseline = Measured.of(BY_WAITS)
    assert baseline is not None
    memory = Memory(pending=pending(changes=GROWN, baseline=baseline))
    decision, _ = verify(given(streams(seconds(0.2, 9000)), memory=memory))
    assert decision is not None
    assert "wait for postgres p99 100us → 200ms" in decision.message


@pytest.mark.parametrize(
    ("baseline", "trial", "reason"),
    [
        pytest.param(observation(), BY_REQUESTS, Reason.ROLLED_BACK, id="all by requests"),
        pytest.param(observation(), streams(), Reason.COOLING_DOWN, id="the pod on trial by waits"),
        pytest.param(BY_WAITS, BY_REQUESTS, Reason.COOLING_DOWN, id="the others by waits before"),
    ],
)
def test_nor_are_they_compared_in_a_trial(baseline: Observation, trial: Observation, reason: Reason) -> None:
    before = Measured.of(baseline)
    assert before is not None
    members = tuple(Member(uid) for uid in "abcdef")
    waiting = pending(changes=GROWN, baseline=before, tried_on=("a",))
    tried = given(observation(), trial=trial, fleet=fleet(total=6, members=members), memory=Memory(pending=waiting))
    decision, _ = judge(tried, waiting)
    assert decision.reason is reason
