"""Verdicts: which change is kept, which is taken back, and which has to wait."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.core.situation.memory import Ceiling, Memory, Noise, Pending, Probing
from paceline_operator.core.situation.situation import Fleet, Member, Situation
from paceline_operator.core.verdict.compare import dead_band
from paceline_operator.core.verdict.restarts import blamed, failing
from paceline_operator.core.verdict.rollback import MOST_REJECTED
from paceline_operator.core.verdict.verify import verify
from situations import (
    COST,
    NOW,
    POSTGRES,
    ended,
    fleet,
    measured,
    observation,
    pending,
    pods,
    policy,
    seconds,
    values,
)
from situations import situation as situation_of


def situation(**changes: Any) -> Situation:
    """Of a policy that prefers cost; whether the objective is met with room a test says itself."""
    return situation_of(**{"policy": policy(objective=COST), **changes})


BACK = (Change(WORKERS, 4, 2), Change(POSTGRES, 8, 10))


@pytest.mark.parametrize(
    ("given_pending", "window", "kept"),
    [
        pytest.param(pending(), observation(), True, id="no worse"),
        pytest.param(pending(), observation(duration=seconds(0.0215)), True, id="worse within the dead band"),
        pytest.param(pending(), observation(duration=seconds(0.023)), False, id="worse beyond the dead band"),
        pytest.param(
            pending(),
            observation(duration=seconds(0.019), requests_per_second=400.0),
            True,
            id="better, under more load",
        ),
        pytest.param(
            pending(voids=1),
            observation(duration=seconds(0.023), requests_per_second=400.0),
            True,
            id="worse twice, but the load is higher",
        ),
        pytest.param(
            pending(baseline=measured(p95_seconds=0.05), voids=1),
            observation(duration=seconds(0.052), requests_per_second=250.0),
            False,
            id="slow, though the load fell",
        ),
        pytest.param(
            pending(reason=Reason.PROBE), observation(duration=seconds(0.0199)), False, id="a probe that gained little"
        ),
        pytest.param(
            pending(reason=Reason.PROBE), observation(duration=seconds(0.018)), True, id="a probe that gained"
        ),
        pytest.param(pending(), observation(errors=40), False, id="more errors"),
        pytest.param(
            pending(baseline=measured(error_ratio=0.01)), observation(errors=200), True, id="as many errors as before"
        ),
        pytest.param(
            pending(baseline=measured(samples=200)),
            observation(duration=seconds(0.026)),
            True,
            id="few samples make a wide dead band",
        ),
    ],
)
def test_verdict(given_pending: Pending, window: Observation, kept: bool) -> None:
    decision, memory = verify(situation(memory=Memory(pending=given_pending), observation=window))

    assert (decision is None) is kept
    assert memory.pending is None
    assert bool(memory.last_known_good) is kept
    assert bool(memory.rejected) is not kept


@pytest.mark.parametrize(
    "window",
    [
        pytest.param(observation(duration=seconds(0.03), requests_per_second=500.0), id="the load moved"),
        pytest.param(observation(duration=seconds(0.01), requests_per_second=200.0), id="better, but the load fell"),
        pytest.param(observation(duration=seconds(0.03), mix={"GET /a": 0.5, "GET /b": 0.5}), id="the route mix moved"),
        pytest.param(
            observation(duration=seconds(0.01), mix={"GET /a": 0.5, "GET /b": 0.5}), id="better, but the mix moved"
        ),
    ],
)
def test_windows_that_do_not_compare_are_void_and_another_is_waited_for(window: Observation) -> None:
    waiting = pending(baseline=measured(mix={"GET /a": 0.8, "GET /b": 0.2}))
    decision, memory = verify(situation(memory=Memory(pending=waiting), observation=window))

    assert decision is None
    assert memory.pending is not None
    assert memory.pending.voids == 1


def test_faster_under_more_load_needs_no_other_window() -> None:
    faster = observation(duration=seconds(0.015), requests_per_second=500.0)
    decision, memory = verify(situation(memory=Memory(pending=pending()), observation=faster))

    assert decision is None
    assert memory.pending is None


def test_noise_widens_the_dead_band() -> None:
    noisy = Memory(pending=pending(), noise=Noise(variance=0.01, windows=5))
    decision, _ = verify(situation(memory=noisy, observation=observation(duration=seconds(0.024))))

    assert decision is None


def test_with_cost_slower_is_kept_while_the_objective_is_met_with_room() -> None:
    for kept in (True, False):
        judged = situation(
            policy=policy(objective=COST),
            enough=kept,
            memory=Memory(pending=pending()),
            observation=observation(duration=seconds(0.044)),
        )
        assert (verify(judged)[0] is None) is kept


def test_an_overloaded_service_is_not_shrunk_because_it_answers_little() -> None:
    late = pending(deadline=NOW, changes=(Change(WORKERS, 2, 4),))
    window = observation(requests=10, loop_lag=seconds(0.3))
    decision, memory = verify(situation(memory=Memory(pending=late), observation=window))

    assert decision is None
    assert memory.pending is None


def test_a_probe_that_gained_nothing_doubles_the_gap_and_is_no_sign_of_trouble() -> None:
    memory = Memory(pending=pending(reason=Reason.PROBE), probing=Probing(2, NOW))
    _, after = verify(situation(memory=memory))

    assert after.probing == Probing(3, NOW + 48 * timedelta(minutes=1))
    assert after.rollbacks == ()


@pytest.mark.parametrize(
    ("p95", "next_gap"),
    [
        pytest.param(0.0180, Probing(0, NOW + 6 * timedelta(minutes=1)), id="much was gained: more may be near"),
        pytest.param(
            0.0194, Probing(3, NOW + 48 * timedelta(minutes=1)), id="little was gained: it stays, and that is it"
        ),
    ],
)
def test_what_follows_a_probe_that_gained(p95: float, next_gap: Probing) -> None:
    memory = Memory(pending=pending(reason=Reason.PROBE), probing=Probing(2, NOW))
    decision, after = verify(situation(memory=memory, observation=observation(duration=seconds(p95, 100_000))))

    assert decision is None
    assert after.probing == next_gap


@pytest.mark.parametrize("enough", [True, False])
def test_a_cheaper_probe_is_kept_only_with_room(enough: bool) -> None:
    """Without it the next window would ask for what the probe gave back, though the objective is met all the time."""
    cheaper = pending(changes=(Change(WORKERS, 5, 4),), reason=Reason.PROBE)
    given = situation(
        memory=Memory(pending=cheaper), observation=observation(duration=seconds(0.024, 20_000)), enough=enough
    )
    decision, _ = verify(given)

    assert (decision is None) is enough
    assert decision is None or decision.reason is Reason.ROLLED_BACK


def test_a_kill_for_memory_is_a_ceiling_for_the_pod_template() -> None:
    killed = fleet(members=pods(4, ended(out_of_memory=True)), template="abc")
    _, memory = verify(situation(memory=Memory(pending=pending()), fleet=killed, observation=None))

    assert memory.ceiling == Ceiling(4, "abc")


def test_a_roll_back_restores_and_explains() -> None:
    decision, memory = verify(
        situation(memory=Memory(pending=pending()), observation=observation(duration=seconds(0.0242)))
    )

    assert decision is not None
    assert decision.reason is Reason.ROLLED_BACK
    assert decision.changes == BACK
    assert "p95 20ms → 24.2ms, ×1.21 > 1.10 (after LoopLagHigh, 1m15s ago)" in decision.message
    assert memory.rejected[0].values == values(4, 8)


def test_a_change_made_by_hand_since_is_not_undone() -> None:
    decision, _ = verify(
        situation(
            values=values(4, 6), memory=Memory(pending=pending()), observation=observation(duration=seconds(0.05))
        )
    )

    assert decision is not None
    assert decision.changes == (Change(WORKERS, 4, 2),)


@pytest.mark.parametrize(
    "window",
    [
        pytest.param(observation(requests=10), id="too few requests"),
        pytest.param(observation(duration=seconds(0.02, 0)), id="a window without durations"),
    ],
)
def test_without_a_window_the_verdict_waits_for_its_deadline(window: Observation) -> None:
    waiting = situation(memory=Memory(pending=pending()), observation=window)
    assert verify(waiting) == (None, waiting.memory)

    late = situation(memory=Memory(pending=pending(deadline=NOW)), observation=window)
    decision, memory = verify(late)
    assert decision is not None
    assert decision.changes == BACK
    assert memory.pending is None


def test_a_container_killed_for_memory_is_rolled_back_at_once() -> None:
    killed = fleet(members=pods(4, ended(out_of_memory=True)))
    decision, _ = verify(situation(memory=Memory(pending=pending()), observation=None, fleet=killed))

    assert decision is not None
    assert decision.reason is Reason.OUT_OF_MEMORY
    assert "1 of 4 pods killed for memory since" in decision.message


def test_a_container_that_restarted_is_rolled_back_and_its_worker_count_a_ceiling() -> None:
    restarted = situation(memory=Memory(pending=pending()), observation=None, fleet=fleet(members=pods(4, ended())))
    decision, memory = verify(restarted)

    assert decision is not None
    assert decision.reason is Reason.ROLLED_BACK
    assert "1 of 4 pods restarted since" in decision.message
    assert memory.ceiling == Ceiling(4, "")
    resized = pending(changes=(Change(POSTGRES, 10, 8),))
    _, memory = verify(replace(restarted, memory=Memory(pending=resized)))
    assert memory.ceiling is None


OLD = ended(76, out_of_memory=True)
"""From before the change."""
LOOPING = ended(restarts=40)


@pytest.mark.parametrize(
    ("ended_pods", "changes", "reason"),
    [
        pytest.param(pods(4), {}, None, id="nothing ended"),
        pytest.param(pods(4, OLD, OLD, OLD, OLD), {}, None, id="all were killed before the change"),
        pytest.param(pods(200, ended()), {}, None, id="one of 200"),
        pytest.param(pods(10, ended()), {}, None, id="one of ten"),
        pytest.param(pods(10, ended(), ended()), {}, Reason.ROLLED_BACK, id="two of ten"),
        pytest.param(pods(3, LOOPING), {"failing": ("pod-0",)}, None, id="one that was failing before"),
        pytest.param(pods(3, LOOPING, ended()), {"failing": ("pod-0",)}, Reason.ROLLED_BACK, id="and another"),
        pytest.param(pods(10, ended(out_of_memory=True)), {}, Reason.OUT_OF_MEMORY, id="one of ten, for memory"),
        pytest.param(pods(200, ended(out_of_memory=True)), {}, None, id="one of 200, for memory"),
        pytest.param(
            pods(10, ended(out_of_memory=True)),
            {"changes": (Change(POSTGRES, 10, 8),)},
            None,
            id="one of ten for memory, which a pool does not take",
        ),
        pytest.param(
            pods(4, ended(out_of_memory=True)),
            {"changes": (Change(WORKERS, 5, 4),)},
            Reason.OUT_OF_MEMORY,
            id="a quarter for memory, whatever was changed",
        ),
        pytest.param(pods(4, ended()), {"tried_on": ("pod-1",)}, None, id="a pod that does not have the change"),
    ],
)
def test_which_restarts_are_due_to_a_change(
    ended_pods: tuple[Member, ...], changes: dict[str, Any], reason: Reason | None
) -> None:
    found = blamed(situation(fleet=fleet(members=ended_pods)), pending(**changes))

    assert (found[0] if found else None) is reason


@pytest.mark.parametrize(
    ("given", "uids"),
    [
        pytest.param(pods(5, ended(60, restarts=2)), ("pod-0",), id="it has just restarted again"),
        pytest.param(pods(5, ended(60)), (), id="it has restarted once"),
        pytest.param(pods(5, ended(7200, restarts=9)), (), id="it has recovered"),
        pytest.param((replace(pods(5)[0], ready=False), *pods(5)[1:]), ("pod-0",), id="it is not ready"),
        pytest.param(pods(5, *[ended(60, restarts=2)] * 2), (), id="two of five: that is no single pod"),
    ],
)
def test_which_pods_are_failing(given: tuple[Member, ...], uids: tuple[str, ...]) -> None:
    assert failing(situation(fleet=fleet(members=given))) == uids


@pytest.mark.parametrize(
    "deployed",
    [
        pytest.param(fleet(rolling_out=True, template="old"), id="a rollout is under way"),
        pytest.param(fleet(template="new"), id="it came and went between two looks"),
    ],
)
@pytest.mark.parametrize("window", [observation(duration=seconds(0.2), errors=400), None])
def test_what_comes_with_a_deploy_is_never_blamed_on_a_change(deployed: Fleet, window: Observation | None) -> None:
    crashed = replace(deployed, members=pods(4, ended(out_of_memory=True), ended()))
    given = situation(memory=Memory(pending=pending(template="old")), fleet=crashed, observation=window)
    decision, memory = verify(given)

    assert decision is None
    assert memory == Memory(), "neither rejected nor good: nobody knows"


def test_without_a_template_only_the_rollout_itself_is_seen() -> None:
    slow = observation(duration=seconds(0.2))
    for then, now in (("", "new"), ("old", "")):
        given = situation(memory=Memory(pending=pending(template=then)), fleet=fleet(template=now), observation=slow)
        assert verify(given)[0] is not None


@pytest.mark.parametrize(("tolerance", "noise", "band"), [(0.01, 0.0, 0.1), (0.2, 0.05, 0.2), (0.1, 0.05, 0.15)])
def test_the_dead_band(tolerance: float, noise: float, band: float) -> None:
    assert dead_band(tolerance, noise) == pytest.approx(band)


def test_only_the_last_rejections_are_remembered() -> None:
    memory = Memory(pending=pending())
    for _ in range(MOST_REJECTED + 3):
        _, after = verify(situation(memory=memory, observation=observation(duration=seconds(0.05))))
        memory = Memory(pending=pending(), rejected=after.rejected)

    assert len(memory.rejected) == MOST_REJECTED


def test_each_roll_back_is_remembered_for_the_breaker() -> None:
    worse = situation(
        memory=Memory(pending=pending(), rollbacks=tuple(NOW - timedelta(hours=h) for h in (4, 3, 2))),
        observation=observation(duration=seconds(0.0242)),
    )

    _, memory = verify(worse)

    assert memory.rollbacks == (NOW - timedelta(hours=3), NOW - timedelta(hours=2), NOW)


@pytest.mark.parametrize(
    ("change", "before", "after", "kept"),
    [
        pytest.param(Change(WORKERS, 2, 4), 0.024, 0.0200, True, id="a tenth and more is gained"),
        pytest.param(Change(WORKERS, 2, 4), 0.024, 0.0225, False, id="less is gained"),
        pytest.param(Change(POSTGRES, 4, 8), 0.024, 0.0225, False, id="connections, too"),
        pytest.param(Change(WORKERS, 6, 4), 0.024, 0.0225, True, id="nothing was taken"),
        pytest.param(Change(WORKERS, 2, 4), 0.050, 0.0480, True, id="the objective was missed before"),
    ],
)
def test_with_latency_a_step_must_gain_a_tenth(change: Change, before: float, after: float, kept: bool) -> None:
    bought = pending(changes=(change,), baseline=measured(p95_seconds=before))
    window = observation(duration=seconds(after, 100_000))
    decision, memory = verify(situation_of(memory=Memory(pending=bought), observation=window))

    assert (decision is None) is kept
    assert memory.rollbacks == (), "to look for speed is no mistake"


def test_a_step_is_not_asked_what_it_gained_without_an_objective() -> None:
    bought = pending(changes=(Change(WORKERS, 2, 4),), baseline=measured(p95_seconds=0.024))
    window = observation(duration=seconds(0.0239, 100_000))
    decision, _ = verify(situation(policy=policy(objective=None), memory=Memory(pending=bought), observation=window))

    assert decision is None
