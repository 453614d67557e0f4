"""What must hold before anything is tuned, as a table: a situation in words, and why nothing is done."""

from datetime import timedelta

import pytest
from paceline_operator.core.decide import decide
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.model.policy import Behavior
from paceline_operator.core.situation.memory import Memory
from paceline_operator.core.situation.situation import LeftOut, Situation
from situations import (
    LAGGING,
    NOW,
    decided,
    fleet,
    observation,
    policy,
    seconds,
    situation,
)


@pytest.mark.parametrize(
    ("given_situation", "changes", "reason"),
    [
        pytest.param(
            situation(observation=observation(loop_lag=LAGGING, cpu_seconds=float("nan"))),
            (),
            Reason.INSUFFICIENT_TELEMETRY,
            id="a figure that is no number counts as none",
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
    ],
)
def test_a_gate_holds(given_situation: Situation, changes: tuple[Change, ...], reason: Reason) -> None:
    assert decided(given_situation) == (changes, reason)


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


@pytest.mark.parametrize(
    ("requests", "window", "behavior", "told"),
    [
        pytest.param(
            500, 300.0, Behavior(), "500 requests in 5m, a decision needs 2000: at this rate in about 15m", id="soon"
        ),
        pytest.param(
            150,
            300.0,
            Behavior(),
            "150 requests in 5m, a decision needs 2000 within 1h, 34 a minute: values stay; "
            "lower behavior.minSamples, to no less than 200",
            id="never",
        ),
        pytest.param(
            150,
            60.0,
            Behavior(interval=timedelta(seconds=5)),
            "150 requests in 1m, a decision needs 2000 within 5m, 400 a minute: values stay; "
            "lower behavior.minSamples, to no less than 200 or raise behavior.interval",
            id="never within short intervals",
        ),
        pytest.param(
            10,
            300.0,
            Behavior(),
            "10 requests in 5m, a decision needs 2000 within 1h, 34 a minute: values stay",
            id="never, and no 200 either",
        ),
        pytest.param(
            50,
            900.0,
            Behavior(),
            "50 requests in 15m, a decision needs 2000 within 1h, 34 a minute: values stay; "
            "lower behavior.minSamples, to no less than 200",
            id="just 200",
        ),
        pytest.param(
            15,
            900.0,
            Behavior(min_samples=100),
            "15 requests in 15m, a decision needs 100 within 1h, 2 a minute: values stay",
            id="too few to tell anything",
        ),
    ],
)
def test_too_few_requests_are_told_with_what_it_takes(
    requests: int, window: float, behavior: Behavior, told: str
) -> None:
    seen = observation(requests=requests, window_seconds=window, duration=seconds(0.02, requests))
    decision, _ = decide(situation(policy=policy(behavior=behavior), observation=seen))

    assert (decision.reason, decision.message) == (Reason.INSUFFICIENT_TELEMETRY, told)


@pytest.mark.parametrize(
    ("interval", "longest"), [(5, 300), (30, 1800), (60, 3600), (300, 3600), (720, 3600), (900, 4500)]
)
def test_a_window_grows_to_an_hour_at_most_or_five_intervals(interval: int, longest: int) -> None:
    assert Behavior(interval=timedelta(seconds=interval)).longest_window == timedelta(seconds=longest)


@pytest.mark.parametrize(
    ("window", "busiest", "counts"),
    [
        pytest.param(1800.0, 2.0, True, id="a long one of one load"),
        pytest.param(1800.0, 4.0, False, id="a long one with a burst"),
        pytest.param(1800.0, None, True, id="a long one of which no minute was counted"),
        pytest.param(240.0, 4.0, True, id="one of the usual length"),
    ],
)
def test_a_long_window_of_several_loads_counts_as_none(window: float, busiest: float | None, counts: bool) -> None:
    seen = observation(requests=7200, requests_per_second=4.0, window_seconds=window, busiest=busiest)
    decision, _ = decide(situation(observation=seen))
    assert (decision.reason is not Reason.INSUFFICIENT_TELEMETRY) is counts


@pytest.mark.parametrize(
    ("least", "todo"),
    [
        pytest.param(2000, "2000 requests come within 5m or evenly; lower behavior.minSamples, to 200 at the least"),
        pytest.param(200, "200 requests come within 5m or evenly"),
    ],
)
def test_a_window_of_several_loads_is_told_with_what_it_means(least: int, todo: str) -> None:
    seen = observation(requests=7200, requests_per_second=4.0, window_seconds=1800.0, busiest=4.1)
    decision, _ = decide(situation(policy=policy(behavior=Behavior(min_samples=least)), observation=seen))
    told = "the busiest minute brought 4.1 times the mean of 30m: under several loads nothing is tuned, and values stay"
    assert decision.message == f"{told} until {todo}"


def test_without_any_window_that_is_said() -> None:
    decision, _ = decide(situation(observation=None))
    assert decision.message == "no whole window of 1m has been measured yet"


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        ((), "when it is done"),
        (("Pending", "NotConverged"), "when it is done"),
        (("CrashLoopBackOff",), "when it is done; pods that fail hold it up: api-0 (CrashLoopBackOff)"),
        (("Pending", "ErrImagePull"), "when it is done; pods that fail hold it up: api-1 (ErrImagePull)"),
    ],
)
def test_a_rollout_that_failing_pods_hold_up_names_them(reasons: tuple[str, ...], told: str) -> None:
    """Of a StatefulSet it is never done while one of its pods crashes."""
    left_out = tuple(LeftOut(f"api-{n}", reason, "") for n, reason in enumerate(reasons))
    decision, _ = decide(situation(fleet=fleet(rolling_out=True, left_out=left_out)))

    assert (decision.reason, decision.changes) == (Reason.ROLLOUT_IN_PROGRESS, ())
    assert decision.message.endswith(told)
