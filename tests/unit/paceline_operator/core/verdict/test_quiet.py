"""What becomes of a change when little or nothing is seen of it, and of single pods that fail for their own reasons."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from paceline_operator.core.measure.histogram import merge
from paceline_operator.core.measure.observation import Observation, PodFigures
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.model.policy import Prefer
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.core.situation.memory import Memory, Pending
from paceline_operator.core.situation.situation import Member
from paceline_operator.core.verdict.canary import judge
from paceline_operator.core.verdict.restarts import blamed
from paceline_operator.core.verdict.verify import verify
from situations import (
    COST,
    NOW,
    OBJECTIVE,
    POSTGRES,
    ended,
    fleet,
    measured,
    observation,
    pending,
    policy,
    postgres_seen,
    seconds,
    situation,
)

GROWN = (Change(WORKERS, 2, 4),)
GIVEN_BACK = (Change(WORKERS, 5, 4),)
LATE = {"deadline": NOW - timedelta(hours=1)}


def late(changes: tuple[Change, ...], **more: Any) -> Pending:
    return pending(changes=changes, **{**LATE, **more})


@pytest.mark.invariant
@pytest.mark.parametrize("changes", [GROWN, GIVEN_BACK])
def test_what_nobody_could_look_at_is_not_judged_and_waits_as_long_again(changes: tuple[Change, ...]) -> None:
    """The operator was away for an hour, or no pod could be reached, or all were scaled away."""
    given = situation(policy=policy(objective=COST), memory=Memory(pending=late(changes)), observation=None)
    decision, memory = verify(given)

    assert decision is None
    assert memory.pending is not None
    assert memory.pending.deadline > NOW + given.policy.behavior.usual_window
    assert (memory.rollbacks, memory.rejected) == ((), ())


@pytest.mark.invariant
def test_nor_is_a_trial() -> None:
    members = tuple(Member(uid) for uid in "abcdef")
    given = situation(
        memory=Memory(pending=late(GROWN, tried_on=("a",))),
        observation=None,
        trial=None,
        fleet=fleet(total=6, members=members),
    )
    decision, memory = judge(given, given.memory.pending or late(GROWN))

    assert (decision.changes, decision.reason) == ((), Reason.COOLING_DOWN)
    assert memory.pending is not None
    assert memory.pending.deadline > NOW


def little(**changes: Any) -> Observation:
    return observation(**{"requests": 40, "duration": seconds(0.02, 40), "requests_per_second": 0.7, **changes})


@pytest.mark.parametrize(
    ("window", "kept"),
    [
        pytest.param(little(), True, id="few requests, all of them fast"),
        pytest.param(little(requests=0, duration=seconds(0.02, 0)), True, id="none"),
        pytest.param(little(errors=3), True, id="an error or two"),
        pytest.param(little(errors=20), False, id="half of them fail"),
        pytest.param(little(duration=seconds(0.2, 40)), False, id="slow"),
        pytest.param(little(loop_lag=seconds(0.2)), False, id="loops lag"),
        pytest.param(little(loop_lag=seconds(0.2, 0)), False, id="nobody knows how loops do"),
        pytest.param(little(turned_away=5), False, id="some were turned away"),
        pytest.param(little(pools=postgres_seen(timeouts=1)), False, id="a checkout that waited in vain"),
    ],
)
def test_a_service_that_has_gone_quiet_needs_nothing_back(window: Observation, kept: bool) -> None:
    given = situation(policy=policy(objective=COST), memory=Memory(pending=late(GIVEN_BACK)), observation=window)
    decision, memory = verify(given)

    assert memory.pending is None
    assert (decision is None) is kept


def some(**changes: Any) -> Observation:
    """Fewer than a verdict needs, 1000, and enough to tell a p95 under the same load."""
    return observation(**{"requests": 400, "duration": seconds(0.02, 400), "requests_per_second": 6.7, **changes})


@pytest.mark.invariant
@pytest.mark.parametrize(
    ("window", "told"),
    [
        pytest.param(some(), "", id="as fast as before"),
        pytest.param(some(errors=60), "errors 0.00% → 15.00%", id="errors"),
        pytest.param(some(errors=3), "", id="a few errors"),
        pytest.param(some(duration=seconds(0.2, 400)), "p95 20ms → 200ms", id="slow"),
        pytest.param(some(duration=seconds(0.04, 400)), "", id="slower, and the objective is met"),
        pytest.param(some(duration=seconds(0.2, 400), requests_per_second=60.0), "", id="slow under another load"),
        pytest.param(some(requests=40, duration=seconds(0.2, 40)), "", id="slow, of too few requests"),
        pytest.param(some(duration=merge((seconds(0.02, 378), seconds(2.0, 22)))), "", id="only more of the slow ones"),
    ],
)
def test_what_is_surely_worse_does_not_wait_for_enough_requests(window: Observation, told: str) -> None:
    before = measured(requests_per_second=6.7, samples=2000)
    given = situation(
        policy=policy(objective=COST),
        memory=Memory(pending=pending(changes=GIVEN_BACK, baseline=before)),
        observation=window,
    )
    decision, memory = verify(given)

    assert (decision is not None) is bool(told)
    assert told in (decision.message if decision else "")
    assert (memory.pending is None) is bool(told)


MISSED: Mapping[str, Any] = {
    "requests_per_second": 6.7, "samples": 2000, "p95_seconds": 0.1, "interval": (0.09, 0.11), "mix": {"GET /": 1.0},
}  # fmt: skip


@pytest.mark.invariant
@pytest.mark.parametrize(
    ("changes", "window", "back"),
    [
        pytest.param(GROWN, {}, True, id="slower after something grew"),
        pytest.param(GIVEN_BACK, {}, False, id="after something was given back it may be what missed the objective"),
        pytest.param(GROWN, {"duration": seconds(0.09, 400)}, False, id="no slower"),
        pytest.param(GROWN, {"duration": seconds(0.102, 400)}, False, id="hardly slower"),
        pytest.param(GROWN, {"requests_per_second": 0.7}, True, id="under less load"),
        pytest.param(GROWN, {"requests_per_second": 60.0}, False, id="under more load"),
        pytest.param(GROWN, {"requests_per_second": 0.7, "mix": {"GET /x": 1.0}}, False, id="under another one"),
        pytest.param(GROWN, {"loop_lag": seconds(0.2)}, False, id="loops lag, and need more of the same"),
        pytest.param(GROWN, {"duration": seconds(0.2, 40), "requests": 40}, False, id="of too few requests"),
    ],
)
def test_what_grew_and_is_surely_slower_goes_back_though_the_objective_was_missed_before(
    changes: tuple[Change, ...], window: dict[str, Any], back: bool
) -> None:
    seen = some(**{"duration": seconds(0.2, 400), "mix": {"GET /": 1.0}, **window})
    given = situation(
        policy=policy(objective=COST),
        memory=Memory(pending=pending(changes=changes, baseline=measured(**MISSED))),
        observation=seen,
    )
    decision, _ = verify(given)

    assert (decision is not None) is back
    assert ("p95 100ms → 200ms" in (decision.message if decision else "")) is back


@pytest.mark.invariant
def test_fewer_connections_that_starve_a_service_go_back_before_there_are_enough_requests() -> None:
    fewer = pending(
        changes=(Change(POSTGRES, 16, 8),), reason=Reason.DATABASE_SATURATED, baseline=measured(p95_seconds=0.1)
    )
    exhausted = postgres_seen(hold=seconds(2.0, 400), arrivals_per_worker=4.0)
    window = some(duration=seconds(4.0, 400), pools=exhausted)
    decision, _ = verify(situation(policy=policy(objective=COST), memory=Memory(pending=fewer), observation=window))

    assert decision is not None
    assert "333 → 7 responses a second: fewer connections do not help" in decision.message


def test_what_grew_and_is_not_needed_at_night_goes_back() -> None:
    given = situation(policy=policy(objective=COST), memory=Memory(pending=late(GROWN)), observation=little())
    decision, _ = verify(given)

    assert decision is not None
    assert decision.changes == (Change(WORKERS, 4, 2),)


def test_without_an_objective_little_telemetry_says_nothing() -> None:
    given = situation(policy=policy(objective=None), memory=Memory(pending=late(GIVEN_BACK)), observation=little())
    assert verify(given)[0] is not None


def failing_on(*errors: int, count: int) -> Observation:
    """A window of so many pods of 1000 requests each, the first of which failed as often as given."""
    per_pod = [*errors, *[0] * (count - len(errors))]
    each = {f"pod-{n}": PodFigures(1000, found, 16.0, seconds(0.02, 1000)) for n, found in enumerate(per_pod)}
    total = 1000 * count
    return observation(pods=count, requests=total, errors=sum(per_pod), requests_per_second=16.0 * count, each=each)


@pytest.mark.parametrize(
    ("window", "kept"),
    [
        pytest.param(failing_on(1000, count=200), True, id="one of 200 fails all"),
        pytest.param(failing_on(1000, count=10), True, id="one of ten fails all"),
        pytest.param(failing_on(1000, 1000, count=10), False, id="two of ten"),
        pytest.param(failing_on(1000, count=9), False, id="one of nine"),
        pytest.param(failing_on(*[20] * 200, count=200), False, id="all of them sometimes"),
        pytest.param(failing_on(*[20] * 30, count=200), False, id="thirty of 200"),
    ],
)
def test_errors_of_a_few_pods_are_their_own(window: Observation, kept: bool) -> None:
    baseline = measured(pods=window.pods, requests_per_second=window.requests_per_second, samples=window.requests)
    given = situation(
        policy=policy(objective=COST),
        enough=True,
        memory=Memory(pending=pending(changes=GIVEN_BACK, baseline=baseline)),
        observation=window,
    )
    assert (verify(given)[0] is None) is kept


def on_trial(*ends: Any) -> Any:
    """Pod `a` of six tries more workers, or fewer; the first ones have ended as given."""
    names = "abcdef"
    members = tuple(Member(uid, ended=ends[n] if n < len(ends) else ()) for n, uid in enumerate(names))
    return situation(fleet=fleet(total=6, members=members))


@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        pytest.param((ended(),), Reason.ROLLED_BACK, id="where it is tried alone"),
        pytest.param((ended(), ended()), None, id="elsewhere as well"),
        pytest.param((ended(out_of_memory=True), ended()), Reason.OUT_OF_MEMORY, id="for memory where it is tried"),
        pytest.param((ended(out_of_memory=True), ended(out_of_memory=True)), None, id="for memory everywhere"),
    ],
)
def test_pods_that_restart_everywhere_do_not_restart_for_a_trial(ends: Any, reason: Reason | None) -> None:
    found = blamed(on_trial(*ends), pending(changes=GROWN, tried_on=("a",)))
    assert (found and found[0]) == reason


@pytest.mark.parametrize(
    ("p95", "told"),
    [
        pytest.param(0.030, "within the objective of 45ms, but without room for 1.25 times the load", id="no room"),
        pytest.param(0.060, "above the objective of 45ms", id="missed"),
    ],
)
def test_a_cheaper_probe_that_goes_back_says_why(p95: float, told: str) -> None:
    probed = pending(reason=Reason.PROBE, changes=(Change(POSTGRES, 9, 8),))
    given = situation(
        policy=policy(objective=COST), memory=Memory(pending=probed), observation=observation(duration=seconds(p95))
    )
    decision, _ = verify(given)

    assert decision is not None
    assert told in decision.message
    assert "> 0.98" not in decision.message


def test_a_cheaper_probe_that_is_faster_stays_though_the_objective_is_missed() -> None:
    before = measured(p95_seconds=0.090, interval=(0.088, 0.092))
    probed = pending(reason=Reason.PROBE, changes=(Change(POSTGRES, 9, 8),), baseline=before)
    given = situation(
        policy=policy(objective=COST), memory=Memory(pending=probed), observation=observation(duration=seconds(0.060))
    )

    decision, memory = verify(given)

    assert decision is None
    assert memory.pending is None


def test_a_faster_probe_is_still_measured_by_what_it_gains() -> None:
    assert OBJECTIVE.prefer is Prefer.LATENCY
    given = situation(memory=Memory(pending=pending(reason=Reason.PROBE, changes=(Change(POSTGRES, 9, 8),))))
    decision, _ = verify(given)

    assert decision is not None
    assert "×1.00 >" in decision.message
