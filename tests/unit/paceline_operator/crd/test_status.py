"""The status that people and the next pass read."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from paceline_operator.core.model.decision import Change, Decision, Reason
from paceline_operator.core.model.tunables import WORKERS, cache
from paceline_operator.core.situation.experience import MOST_KNOWN
from paceline_operator.core.situation.memory import (
    Busy,
    Ceiling,
    Drowned,
    Known,
    Memory,
    Noise,
    Oversized,
    Probing,
    Rejected,
    Replicas,
)
from paceline_operator.crd.conditions import (
    Condition,
    converged,
    objective_met,
    render_conditions,
    telemetry_available,
    within_budget,
)
from paceline_operator.crd.decisions import MOST_CHANGES, MOST_HOLDS, Decided, appended
from paceline_operator.crd.memory import MOST_BYTES, parse_memory, render_pending, render_tuner
from paceline_operator.crd.status import Report, differs, render_status
from situations import (
    MAIN,
    NOW,
    fleet,
    measured,
    observation,
    pending,
    policy,
    pool_spec,
    seconds,
    values,
    workers_spec,
)

INTERVAL = timedelta(seconds=60)
HOLD = Decision((), Reason.WITHIN_TOLERANCE, "fine")
CHANGE = Decision((Change(WORKERS, 2, 4),), Reason.LOOP_LAG_HIGH, "more", tuned=True)


def report(**changes: Any) -> Report:
    base = Report(3, (Condition("Ready", "True", "Accepted", ""),), fleet(), values(), Memory(), INTERVAL)
    return replace(base, **changes)


def decided(decision: Decision = HOLD, *, applied: bool = False) -> Decided:
    return Decided(decision, 17, values(), applied, "ab" * 16)


def test_durations_are_readable_and_the_unknown_is_absent() -> None:
    status, _ = render_status({}, report(observation=observation()), NOW)

    assert status["observed"] == {
        "p95": "20ms",
        "errorRatio": 0.0,
        "samples": 20_000,
        "requestsPerSecond": 333.0,
        "loopLagP95": "1ms",
        "poolWaitP99": "0s",
        "coverage": 1.0,
    }
    assert status["tuning"]["values"] == {"workers": 4, "pools": {"postgres": 8}, "caches": {}}
    assert status["observedGeneration"] == 3
    assert "pending" not in status


def test_between_windows_the_last_figures_stand() -> None:
    first, _ = render_status({}, report(observation=observation(), decided=decided()), NOW)
    second, _ = render_status(first, report(), NOW + INTERVAL)

    assert second == first


def test_what_was_gained_is_told_against_the_first_window() -> None:
    memory = Memory(first=measured(p95_seconds=0.210), last_known_good=values(4, 4))
    status, _ = render_status({}, report(memory=memory, observation=observation()), NOW)

    assert status["tuning"]["gained"] == "p95 210ms → 20ms"
    assert status["tuning"]["lastKnownGood"]["pools"] == {"postgres": 4}


def test_a_recommendation_says_what_limits_it() -> None:
    limited = Decision(
        (Change(WORKERS, 4, 5),), Reason.LOOP_LAG_HIGH, "more", (Change(WORKERS, 4, 8),), Reason.AT_MAXIMUM
    )
    status, _ = render_status({}, report(observation=observation(), decided=decided(limited)), NOW)

    assert status["recommendation"]["values"]["workers"] == 5
    assert status["recommendation"]["uncapped"]["workers"] == 8
    assert status["recommendation"]["limitedReason"] == "AtMaximum"
    assert status["recommendation"]["confidence"] == "High"


@pytest.mark.parametrize(("samples", "confidence"), [(5000, "High"), (2000, "Medium"), (1999, "Low")])
def test_confidence_follows_the_samples(samples: int, confidence: str) -> None:
    status, _ = render_status({}, report(observation=observation(requests=samples), decided=decided()), NOW)

    assert status["recommendation"]["confidence"] == confidence


def test_a_run_of_holds_is_one_counted_entry() -> None:
    entries: list[dict[str, Any]] = []
    news = []
    for minute in range(4):
        entries, new = appended(entries, decided(), NOW + minute * INTERVAL, INTERVAL)
        news.append(new)

    assert news == [True, False, False, False]
    assert len(entries) == 1
    assert entries[0]["count"] == 4
    assert entries[0]["since"] < entries[0]["time"]


def test_an_applied_change_is_always_an_entry_of_its_own() -> None:
    entries, _ = appended([], decided(CHANGE, applied=True), NOW, INTERVAL)
    entries, new = appended(entries, decided(CHANGE, applied=True), NOW, INTERVAL)

    assert new
    assert len(entries) == 2
    assert entries[0]["changes"] == [{"tunable": "workers", "old": 2, "new": 4}]
    assert entries[0]["traceID"] == "ab" * 16


def test_only_the_last_changes_are_kept() -> None:
    entries: list[dict[str, Any]] = []
    for number in range(60):
        entries, _ = appended(entries, decided(CHANGE, applied=True), NOW + number * INTERVAL, INTERVAL)
        entries, _ = appended(entries, decided(), NOW + number * INTERVAL, INTERVAL)

    assert len([entry for entry in entries if entry.get("changes")]) == MOST_CHANGES
    assert len(entries) <= MOST_CHANGES + MOST_HOLDS


def test_a_transition_has_a_time_and_everything_else_has_not() -> None:
    ready = Condition("Ready", "True", "Accepted", "one")
    first = render_conditions({}, [ready], 1, NOW)
    later = render_conditions(
        {"conditions": first}, [replace(ready, reason="Paused", message="two")], 2, NOW + INTERVAL
    )
    flipped = render_conditions({"conditions": later}, [replace(ready, status="False")], 2, NOW + INTERVAL)

    assert later[0]["lastTransitionTime"] == first[0]["lastTransitionTime"]
    assert (later[0]["reason"], later[0]["observedGeneration"]) == ("Paused", 2)
    assert flipped[0]["lastTransitionTime"] > later[0]["lastTransitionTime"]


@pytest.mark.parametrize(
    ("condition", "status", "reason"),
    [
        pytest.param(telemetry_available(fleet(), stale=False), "True", "PodsReport", id="all pods report"),
        pytest.param(
            telemetry_available(fleet(reporting=3), stale=False), "False", "InsufficientTelemetry", id="too few report"
        ),
        pytest.param(telemetry_available(fleet(reporting=0), stale=False), "False", "NotReporting", id="none reports"),
        pytest.param(telemetry_available(fleet(reporting=0), stale=True), "False", "TelemetryStale", id="for long"),
        pytest.param(
            telemetry_available(fleet(total=0, reporting=0), stale=False), "Unknown", "NotReporting", id="no pods"
        ),
        pytest.param(converged(fleet()), "True", "AllPodsApplied", id="all applied"),
        pytest.param(converged(fleet(applied=3)), "False", "NotConverged", id="one has not applied"),
        pytest.param(converged(fleet(applied=3, shrink_blocked="x")), "False", "ShrinkBlocked", id="shrink blocked"),
        pytest.param(converged(fleet(cannot_tune="pod a: task 'tuning'")), "False", "WorkerDegraded", id="cannot tune"),
        pytest.param(
            telemetry_available(fleet(cannot_measure="pod a: task 'memory'"), stale=False),
            "False",
            "WorkerDegraded",
            id="cannot measure",
        ),
        pytest.param(converged(fleet(too_old=("p",))), "False", "RuntimeTooOld", id="a runtime too old"),
        pytest.param(converged(fleet(reporting=0, applied=0)), "Unknown", "NotReporting", id="nobody says"),
        pytest.param(converged(fleet(total=0, applied=0)), "Unknown", "NotReporting", id="nobody is there"),
        pytest.param(within_budget(policy()), "True", "NoBudget", id="no budget"),
        pytest.param(within_budget(policy(pool_spec(budget=MAIN))), "Unknown", "BudgetNotFound", id="a missing budget"),
        pytest.param(objective_met(policy(), observation(), {}), "True", "WithinObjective", id="fast"),
        pytest.param(objective_met(policy(), observation(duration=seconds(0.1)), {}), "False", "Slow", id="slow"),
        pytest.param(objective_met(policy(), observation(errors=100), {}), "False", "Failing", id="failing"),
        pytest.param(
            objective_met(policy(workers_spec(), objective=None), observation(), {}),
            "Unknown",
            "NoObjective",
            id="none",
        ),
        pytest.param(objective_met(policy(), None, {}), "Unknown", "InsufficientTelemetry", id="not measured yet"),
    ],
)
def test_conditions(condition: Condition, status: str, reason: str) -> None:
    assert (condition.status, condition.reason) == (status, reason)


def test_the_objective_stands_between_two_windows() -> None:
    previous = {"conditions": render_conditions({}, [objective_met(policy(), observation(), {})], 1, NOW)}

    assert objective_met(policy(), None, previous).reason == "WithinObjective"


def test_unknown_names_and_clamps_are_said() -> None:
    message = converged(fleet(unknown=("postgress",), clamped={WORKERS: "asked 5, granted 4, by memory"})).message

    assert "no worker registered postgress" in message
    assert "workers clamped: asked 5, granted 4, by memory" in message


@pytest.mark.parametrize(
    ("change", "material"),
    [
        pytest.param({}, False, id="the same again"),
        pytest.param({"observed": {"p95": "21ms", "samples": 19_500}}, False, id="figures that hardly moved"),
        pytest.param({"observed": {"p95": "41ms", "samples": 20_000}}, True, id="figures that moved"),
        pytest.param({"observed": {"p95": "20ms"}}, True, id="a figure that is gone"),
        pytest.param({"tuning": {"gained": "p95 210ms → 21ms"}}, False, id="another wording of the gain"),
        pytest.param({"tuning": {"generation": 18}}, True, id="a generation"),
        pytest.param(
            {"decisions": [{"time": "t2", "since": "t1", "count": 9, "reason": "NoTraffic"}]}, False, id="holds go on"
        ),
        pytest.param({"decisions": [{"time": "t2", "reason": "NoTraffic"}]}, True, id="a new hold"),
        pytest.param({"pods": {"total": 7, "applied": 6}}, True, id="pods"),
    ],
)
def test_a_status_is_written_only_if_it_says_something_else(change: dict[str, Any], material: bool) -> None:
    old = {
        "observed": {"p95": "20ms", "samples": 20_000},
        "tuning": {},
        "decisions": [{"time": "t1", "reason": "NoTraffic"}],
    }

    assert differs(old, {**old, **change}) is material


def test_the_memory_survives_the_status() -> None:
    memory = Memory(
        changes=(NOW,),
        pending=pending(),
        last_known_good={WORKERS: 2, cache("responses"): 60},
        rollbacks=(NOW - INTERVAL,),
        rejected=(Rejected(values(), NOW + INTERVAL),),
        oversized={"postgres": Oversized(3, 7)},
        first=measured(),
        known=(Known(values(), 83.25, 0.0201, 3, NOW),),
        noise=Noise(0.01, 4, measured(mix={"GET /": 1.0}), 17),
        probing=Probing(2, NOW + INTERVAL),
        cpu={2: 0.004, 4: 0.0041},
        fastest={"postgres": 0.006},
        drowned={"postgres": Drowned(150, 0.09, 2000.0, NOW, 2)},
        ceiling=Ceiling(6, "abc"),
        replicas=Replicas(4, NOW),
        busy=(Busy(NOW, 250.25),),
        wanted=(values(2, 4), values(1, 5)),
        unknown={"regimes": [1, 2]},
    )
    status, _ = render_status({}, report(memory=memory), NOW)

    assert parse_memory(status) == memory
    assert status["tuner"]["version"] == 1


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({}, id="no status yet"),
        pytest.param({"tuner": {"changes": ["yesterday"], "rejected": [{}]}, "pending": {"x": 1}}, id="nonsense"),
        pytest.param({"tuner": {"oversized": [], "first": 3}, "tuning": {"lastKnownGood": 7}}, id="other shapes"),
    ],
)
def test_a_memory_that_cannot_be_read_is_empty(status: dict[str, Any]) -> None:
    assert parse_memory(status) == Memory()


def test_the_memory_stays_small() -> None:
    rendered = render_tuner(Memory(unknown={"regimes": "x" * MOST_BYTES}))

    full = Memory(known=tuple(Known(values(n), 83.25 + n, 0.0201, 3, NOW) for n in range(1, MOST_KNOWN + 1)))
    assert len(orjson.dumps(render_tuner(full))) < MOST_BYTES
    assert "regimes" not in rendered
    assert render_tuner(Memory(unknown={"regimes": "x"}))["regimes"] == "x"


def test_a_trial_says_what_is_tried_where_and_survives() -> None:
    memory = Memory(pending=pending(tried_on=("b", "a")))
    status, _ = render_status({}, report(memory=memory, fleet=fleet(total=6)), NOW)

    assert status["pending"]["trying"] == "workers 2→4, postgres 10→8 on 2 of 6 pods"
    assert parse_memory(status) == memory
    assert "trying" not in render_status({}, report(memory=Memory(pending=pending())), NOW)[0]["pending"]


def test_a_pending_change_shows_its_baseline() -> None:
    assert render_pending(pending())["baseline"]["p95Seconds"] == 0.02
