"""Process pools: grown by the wait for a process while the pod has CPU and memory for one, given back when idle."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from paceline_operator.core.decide import decide
from paceline_operator.core.laws.diagnose import OVERSIZED_WINDOWS
from paceline_operator.core.laws.processes import affordable, count_oversized, findings
from paceline_operator.core.measure.histogram import merge
from paceline_operator.core.measure.observation import Observation, PoolObservation
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.model.policy import Bounds, Objective, TunableSpec
from paceline_operator.core.model.tunables import WORKERS, Values, processes
from paceline_operator.core.situation.memory import Memory, Oversized
from paceline_operator.core.situation.situation import Situation
from situations import observation, policy, pool_seen, seconds, situation

RENDER = processes("render")
SLOW = Objective(timedelta(milliseconds=400))
BUSY_SECONDS = 4 * 60.0
"""CPU time of four pods in a minute, a core."""


def calls(a_second: float = 20, waited: float = 0.4, **changes: Any) -> PoolObservation:
    """Of 100 ms each, on each of four pods."""
    base = pool_seen(
        cap=16, arrivals_per_worker=a_second, wait=seconds(waited), hold=seconds(0.1, round(240 * a_second))
    )
    return replace(base, **changes)


def window(seen: PoolObservation, **changes: Any) -> Observation:
    """Four pods of four cores, whose workers use 0.6 of them. Requests without a call take 15 ms."""
    used = 0.6 + seen.arrivals_per_worker * (seen.hold.mean or 0.0)
    slow, count = 0.02 + (seen.hold.mean or 0.0) + (seen.wait.mean or 0.0), seen.hold.count
    duration = merge((seconds(slow, count), seconds(0.015, 20_000 - count)))
    base = observation(queues={RENDER: seen}, cores=4, cpu_seconds=used * BUSY_SECONDS, duration=duration, pools={})
    return replace(base, **changes)


def given(size: int = 2, seen: PoolObservation | None = None, **changes: Any) -> Situation:
    """One worker, bounds of 1 to 8 processes; p95 520 ms where 400 ms are promised."""
    values: Values = {WORKERS: 1, RENDER: size}
    base = situation(
        policy=policy(TunableSpec(RENDER, bounds=Bounds(1, 8)), objective=SLOW),
        values=values,
        observation=window(seen or calls()),
    )
    return replace(base, **changes)


def decided(given: Situation) -> tuple[tuple[Change, ...], Reason]:
    decision, _ = decide(given)
    return decision.changes, decision.reason


def test_a_pool_that_calls_wait_for_grows_by_what_they_need() -> None:
    decision, _ = decide(given())

    assert decision.changes == (Change(RENDER, 2, 3),)
    assert decision.reason is Reason.POOL_WAIT_HIGH
    assert decision.tuned
    assert "render wait p95 400ms > 32ms, 6 processes needed" in decision.message


@pytest.mark.parametrize(
    ("seen", "figures", "most"),
    [
        pytest.param(calls(), {}, 3, id="4 cores, of which the workers use 0.6"),
        pytest.param(calls(), {"cores": 8}, 7, id="8 cores"),
        pytest.param(calls(), {"cores": 8, "cpu_limit": 6.0}, 5, id="a CPU limit below the cores"),
        pytest.param(calls(), {"cores": None, "cpu_limit": 6.0}, 5, id="a CPU limit alone"),
        pytest.param(calls(), {"cores": None}, 2, id="nobody says how many cores there are"),
        pytest.param(calls(), {"cores": 8, "cpu_seconds": 0.0}, 2, id="nobody says what is used"),
        pytest.param(calls(), {"cores": 8, "cpu_seconds": 7 * BUSY_SECONDS}, 2, id="a node or a limit that is full"),
        pytest.param(calls(), {"cores": 8, "throttled_ratio": 0.3}, 2, id="throttled"),
        pytest.param(calls(), {"cores": 8, "most_workers": 3}, 4, id="memory for two workers more"),
        pytest.param(calls(), {"cores": 8, "most_workers": 1}, 2, id="no memory"),
        pytest.param(calls(cap=4), {"cores": 8}, 4, id="what the constructor allows"),
        pytest.param(calls(0, 0.0, hold=seconds(0.1, 0)), {"cores": 8}, 7, id="no call: all cores but the workers'"),
    ],
)
def test_the_pod_has_room_for(seen: PoolObservation, figures: dict[str, Any], most: float) -> None:
    assert affordable(given(), window(seen, **figures), seen, 2) == most


def test_a_pool_grows_no_further_than_there_is_cpu_and_twice_at_most() -> None:
    assert decided(given(2, calls(20)))[0] == (Change(RENDER, 2, 3),)
    wide = given(observation=window(calls(40), cores=32))
    assert decided(wide)[0] == (Change(RENDER, 2, 4),)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"size": 3, "seen": calls(30)}, Reason.SCALE_OUT_RECOMMENDED, id="no core is left"),
        pytest.param({"policy": policy(objective=SLOW)}, None, id="a pool that the policy does not name"),
        pytest.param(
            {"policy": policy(TunableSpec(RENDER, pinned=2), objective=SLOW)}, Reason.PINNED_BY_SPEC, id="a pinned one"
        ),
        pytest.param({"seen": calls(20, 0.03)}, None, id="a short wait"),
        pytest.param({"seen": calls(20, hold=seconds(0.1, 9))}, None, id="few calls"),
        pytest.param({"seen": calls(20, wait=seconds(0, 0))}, None, id="no call"),
        pytest.param({"values": {WORKERS: 1}}, None, id="a size that nobody reports"),
    ],
)
def test_a_pool_is_left_as_it_is(changes: dict[str, Any], reason: Reason | None) -> None:
    size, seen = changes.pop("size", 2), changes.pop("seen", None)
    unchanged, why = decided(given(size, seen, **changes))
    assert unchanged == ()
    assert why is reason or reason is None


def test_nothing_grows_while_the_objective_is_met_with_room() -> None:
    met = given(observation=window(calls(), duration=seconds(0.1)))

    assert decided(met) == ((), Reason.WITHIN_TOLERANCE)
    assert any(findings(met, window(calls()), SLOW))
    assert not any(findings(replace(met, enough=True), window(calls()), SLOW))


def test_what_is_met_without_a_core_left_asks_for_no_replica() -> None:
    tight = given(3, calls(30))
    met = window(calls(30), duration=seconds(0.1))

    assert not any(findings(tight, met, SLOW))


def idle(size: int, windows: int = OVERSIZED_WINDOWS, **changes: Any) -> Situation:
    """Five calls a second of 100 ms, hardly ever waiting, the objective met."""
    run = Memory(oversized={"render": Oversized(windows - 1, 2)} if windows > 1 else {})
    return given(size, memory=run, observation=window(calls(5, 0.0), duration=seconds(0.1)), **changes)


def test_processes_that_were_not_needed_for_five_windows_are_given_back() -> None:
    decision, _ = decide(idle(6))

    assert decision.changes == (Change(RENDER, 6, 4),)
    assert decision.reason is Reason.POOL_OVERSIZED
    assert "render needs 3 processes for 5 windows" in decision.message
    assert decide(idle(6, windows=4))[0].changes == ()


def test_the_last_process_stays_and_a_pool_without_calls_is_idle() -> None:
    silent = window(calls(0, 0.0, wait=seconds(0, 0), hold=seconds(0, 0)), duration=seconds(0.1))

    assert count_oversized(given(1), silent, SLOW) == {}
    assert count_oversized(given(3), silent, SLOW) == {"render": Oversized(1, 1)}


def test_nothing_is_counted_as_idle_while_the_objective_is_missed_or_calls_wait() -> None:
    given_back = idle(6)
    assert given_back.observation is not None

    assert count_oversized(given_back, given_back.observation, SLOW) == {"render": Oversized(5, 3)}
    assert count_oversized(given_back, window(calls(5, 0.0), duration=seconds(0.5)), SLOW) == {}
    waiting = window(calls(5, 0.05), duration=seconds(0.1))
    assert count_oversized(given_back, waiting, SLOW) == {}
    assert count_oversized(replace(given_back, values={WORKERS: 1}), given_back.observation, SLOW) == {}


def test_a_run_of_a_pool_that_has_shrunk_meanwhile_asks_for_nothing() -> None:
    met = window(calls(5, 0.0), duration=seconds(0.1))
    ran = Memory(oversized={"render": Oversized(OVERSIZED_WINDOWS, 2)})

    assert not any(findings(given(2, memory=ran), met, SLOW))
    assert not any(findings(given(values={WORKERS: 1}, memory=ran), met, SLOW))
