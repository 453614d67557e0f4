"""A long window of several loads tunes nothing; what goes wrong in it goes back all the same, and verdicts end."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from paceline_operator.core.decide import decide
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.core.situation.memory import Memory, Pending
from paceline_operator.core.situation.situation import Member, Situation
from situations import COST, NOW, fleet, measured, observation, pending, policy, seconds, situation, values

LATE = NOW - timedelta(minutes=1)
EARLY = NOW + timedelta(minutes=1)
BURSTS: Mapping[str, Any] = {
    "requests": 900, "window_seconds": 600.0, "requests_per_second": 1.5, "busiest": 1.2,
    "duration": seconds(0.02, 900),
}  # fmt: skip
"""The busiest minute brings 3.2 times the mean of four pods."""
GIVEN_BACK = (Change(WORKERS, 5, 4),)
GROWN = (Change(WORKERS, 2, 4),)


def after(changes: tuple[Change, ...], deadline: Any, **window: Any) -> Situation:
    waiting = pending(
        changes=changes,
        baseline=measured(requests_per_second=1.6, samples=2000),
        since=NOW - timedelta(hours=2),
        deadline=deadline,
    )
    return situation(
        policy=policy(objective=COST), observation=observation(**{**BURSTS, **window}), memory=Memory(pending=waiting)
    )


@pytest.mark.invariant
@pytest.mark.parametrize("deadline", [EARLY, LATE])
@pytest.mark.parametrize("changes", [GIVEN_BACK, GROWN])
@pytest.mark.parametrize("requests", [900, 1800])
@pytest.mark.parametrize(
    ("window", "told"),
    [
        pytest.param({"errors": 450}, "errors 0.00% → ", id="half of them fail"),
        pytest.param({"duration": seconds(2.0, 900)}, "p95 20ms → 2s", id="slow"),
    ],
)
def test_what_goes_wrong_goes_back(
    deadline: Any, changes: tuple[Change, ...], requests: int, window: dict[str, Any], told: str
) -> None:
    decision, memory = decide(after(changes, deadline, requests=requests, **window))

    assert decision.reason is Reason.ROLLED_BACK
    assert told in decision.message
    assert memory.pending is None


@pytest.mark.parametrize("requests", [900, 1800])
@pytest.mark.parametrize("window", [{}, {"loop_lag": seconds(0.2)}])
def test_nothing_else_is_concluded_before_the_deadline(requests: int, window: dict[str, Any]) -> None:
    given = after(GIVEN_BACK, EARLY, requests=requests, **window)
    decision, memory = decide(given)

    assert (decision.changes, decision.reason) == ((), Reason.INSUFFICIENT_TELEMETRY)
    assert "the busiest minute brought 3.2 times the mean of 10m" in decision.message
    assert memory.pending == given.memory.pending


@pytest.mark.invariant
@pytest.mark.parametrize(
    ("changes", "requests", "reason"),
    [
        pytest.param(GIVEN_BACK, 900, Reason.INSUFFICIENT_TELEMETRY, id="few requests, all well: given back"),
        pytest.param(GROWN, 900, Reason.ROLLED_BACK, id="few requests: what grew goes back"),
        pytest.param(GIVEN_BACK, 1800, Reason.INSUFFICIENT_TELEMETRY, id="enough requests, all well: given back"),
        pytest.param(GROWN, 1800, Reason.INSUFFICIENT_TELEMETRY, id="enough requests: no slower"),
    ],
)
def test_the_deadline_ends_it(changes: tuple[Change, ...], requests: int, reason: Reason) -> None:
    decision, memory = decide(after(changes, LATE, requests=requests))
    assert (decision.reason, memory.pending) == (reason, None)


@pytest.mark.invariant
@pytest.mark.parametrize(
    ("window", "reason"),
    [
        pytest.param({}, Reason.LOOP_LAG_HIGH, id="as fast as the others, under the same loads"),
        pytest.param({"errors": 300}, Reason.ROLLED_BACK, id="its requests fail"),
    ],
)
def test_a_trial_is_judged_against_pods_that_met_the_same_loads(window: dict[str, Any], reason: Reason) -> None:
    tried: Pending = pending(changes=(Change(WORKERS, 4, 5),), tried_on=("a",), deadline=LATE)
    members = tuple(Member(uid, values=values(5 if uid == "a" else 4)) for uid in "abcdef")
    given = situation(
        fleet=fleet(total=6, reporting=6, applied=6, members=members),
        observation=observation(**{**BURSTS, "requests": 1800, "pods": 5}),
        trial=observation(**{**BURSTS, "pods": 1, **window}),
        memory=Memory(pending=tried),
    )
    decision, memory = decide(given)

    assert decision.reason is reason
    assert memory.pending is None
