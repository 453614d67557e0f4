"""What must hold before anything is tuned, as a table: a situation in words, and why nothing is done."""

from datetime import timedelta

import pytest
from paceline_operator.core.decide import decide
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.situation.memory import Memory
from paceline_operator.core.situation.situation import Situation
from situations import (
    LAGGING,
    NOW,
    decided,
    fleet,
    observation,
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
