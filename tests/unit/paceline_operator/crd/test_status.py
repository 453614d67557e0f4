"""The status that people and the next pass read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from paceline_operator.core.measure.observation import Observation
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
from paceline_operator.crd.decisions import MOST_CHANGES, Decided
from paceline_operator.crd.memory import MOST_BYTES, parse_memory, render_pending, render_tuner
from paceline_operator.crd.status import REFRESHED_EVERY, Report, due, render_status
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
    base = Report(3, (Condition("Ready", "True", "Accepted", ""),), fleet(), values(), Memory())
    return replace(base, **changes)


def decided(decision: Decision = HOLD, *, applied: bool = False) -> Decided:
    return Decided(decision, 17, values(), applied, "ab" * 16)


def test_durations_are_readable_and_the_unknown_is_absent() -> None:
    status = render_status({}, report(observation=observation()), NOW)

    assert status["observed"] == {
        "time": "2026-01-01T12:00:00.000Z",
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
    first = render_status({}, report(observation=observation(), decided=decided()), NOW)
    second = render_status(first, report(), NOW + INTERVAL)

    assert second == {**first, "lastUpdateTime": second["lastUpdateTime"]}


def test_what_was_gained_is_told_against_the_first_window() -> None:
    memory = Memory(first=measured(p95_seconds=0.210), last_known_good=values(4, 4))
    status = render_status({}, report(memory=memory, observation=observation()), NOW)

    assert status["tuning"]["gained"] == "p95 210ms → 20ms"
    assert status["tuning"]["lastKnownGood"]["pools"] == {"postgres": 4}


def test_a_recommendation_says_what_limits_it() -> None:
    limited = Decision(
        (Change(WORKERS, 4, 5),), Reason.LOOP_LAG_HIGH, "more", (Change(WORKERS, 4, 8),), Reason.AT_MAXIMUM
    )
    status = render_status({}, report(observation=observation(), decided=decided(limited)), NOW)

    assert status["recommendation"]["values"]["workers"] == 5
    assert status["recommendation"]["uncapped"]["workers"] == 8
    assert status["recommendation"]["limitedReason"] == "AtMaximum"
    assert status["recommendation"]["confidence"] == "High"


@pytest.mark.parametrize(("samples", "confidence"), [(5000, "High"), (2000, "Medium"), (1999, "Low")])
def test_confidence_follows_the_samples(samples: int, confidence: str) -> None:
    status = render_status({}, report(observation=observation(requests=samples), decided=decided()), NOW)

    assert status["recommendation"]["confidence"] == confidence


def test_an_applied_change_is_always_an_entry_of_its_own_and_a_hold_none() -> None:
    status = render_status({}, report(decided=decided()), NOW)
    assert "decisions" not in status
    assert status["recommendation"]["reason"] == "WithinTolerance"
    for _ in range(2):
        status = render_status(status, report(decided=decided(CHANGE, applied=True)), NOW)
    recommended = render_status(status, report(decided=decided(CHANGE)), NOW)

    assert len(status["decisions"]) == len(recommended["decisions"]) == 2
    assert status["decisions"][0]["changes"] == [{"tunable": "workers", "old": 2, "new": 4}]
    assert status["decisions"][0]["traceID"] == "ab" * 16


def test_the_last_changes_are_kept_whatever_is_held() -> None:
    status: dict[str, Any] = {}
    for number in range(60):
        told = Decided(CHANGE, number, values(), applied=True)
        status = render_status(status, report(decided=told), NOW + number * INTERVAL)
        status = render_status(status, report(decided=decided()), NOW + number * INTERVAL)

    assert [entry["generation"] for entry in status["decisions"]] == list(range(60 - MOST_CHANGES, 60))


def test_what_an_earlier_version_left_in_the_status_goes() -> None:
    hold = {"time": "2026-01-01T00:00:00Z", "reason": "NoTraffic"}
    change = {**hold, "changes": [{"tunable": "workers", "new": 2}], "values": {"workers": 2}}
    status = render_status({"tuner": {"version": 1}, "decisions": [hold, change, hold]}, report(), NOW)

    assert "tuner" not in status
    assert status["decisions"] == [change]


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
        pytest.param(within_budget(policy(pool_spec(budget=MAIN))), "False", "BudgetNotFound", id="a missing budget"),
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
        pytest.param(
            objective_met(policy(), observation(), {}, "9 requests in 5m"), "Unknown", "InsufficientTelemetry", id="few"
        ),
    ],
)
def test_conditions(condition: Condition, status: str, reason: str) -> None:
    assert (condition.status, condition.reason) == (status, reason)


def test_the_objective_stands_between_two_windows() -> None:
    previous = {"conditions": render_conditions({}, [objective_met(policy(), observation(), {})], 1, NOW)}

    assert objective_met(policy(), None, previous).reason == "WithinObjective"


@pytest.mark.parametrize(
    ("seen", "too_few"), [pytest.param(None, "", id="no window"), pytest.param(observation(), "9 requests", id="few")]
)
def test_what_was_measured_before_the_longest_window_says_nothing_of_now(
    seen: Observation | None, too_few: str
) -> None:
    before = objective_met(policy(), observation(duration=seconds(0.1)), {})
    previous, rules = {"conditions": render_conditions({}, [before], 1, NOW)}, policy()
    longest = rules.behavior.longest_window

    stands = objective_met(rules, seen, previous, too_few, unjudged=longest)
    ended = objective_met(rules, seen, previous, too_few, unjudged=longest + 4 * rules.behavior.interval)

    assert (stands.status, stands.reason) == ("False", "Slow")
    assert (ended.status, ended.reason) == ("Unknown", "InsufficientTelemetry")


def test_unknown_names_and_clamps_are_said() -> None:
    message = converged(fleet(unknown=("postgress",), clamped={WORKERS: "asked 5, granted 4, by memory"})).message

    assert "no worker registered postgress" in message
    assert "workers clamped: asked 5, granted 4, by memory" in message


STORED = {
    "observedGeneration": 3,
    "observed": {"p95": "20ms", "samples": 20_000},
    "tuning": {"generation": 17, "values": {"workers": 2}},
    "pods": {"total": 6, "applied": 6},
    "leftOut": [{"name": "api-1", "reason": "Pending", "message": "no node"}],
    "recommendation": {"reason": "WithinTolerance", "values": {"workers": 2}},
    "conditions": [
        {"type": "Ready", "status": "True", "reason": "Accepted", "message": "mode Auto"},
        {"type": "Converged", "status": "True", "reason": "AllPodsApplied", "message": "6 of 6 pods"},
    ],
    "lastUpdateTime": "2026-01-01T12:00:00.000Z",
}
WRITTEN = datetime(2026, 1, 1, 12, tzinfo=UTC)


def condition(index: int, **changes: str) -> dict[str, Any]:
    conditions = [dict(one) for one in STORED["conditions"]]  # type: ignore[attr-defined]
    conditions[index] |= changes
    return {"conditions": conditions}


@pytest.mark.parametrize(
    ("change", "at_once", "later"),
    [
        pytest.param({}, False, False, id="the same again"),
        pytest.param({"observed": {"p95": "21ms", "samples": 19_500}}, False, True, id="figures"),
        pytest.param({"observed": {"p95": "9s", "samples": 1}}, False, True, id="figures that moved far"),
        pytest.param({"tuning": {**STORED["tuning"], "gained": "p95 210ms → 21ms"}}, False, True, id="the gain"),  # type: ignore[dict-item]
        pytest.param({"pods": {"total": 7, "applied": 7}}, False, True, id="an autoscaler's pod"),
        pytest.param({"recommendation": {"reason": "NoTraffic"}}, False, True, id="another hold"),
        pytest.param(condition(1, message="7 of 7 pods"), False, True, id="the pods of a condition"),
        pytest.param({"leftOut": []}, False, True, id="a pod that came back"),
        pytest.param({"leftOut": [{"name": "b", "reason": "Pending"}]}, False, True, id="one more such pod"),
        pytest.param({"leftOut": [{"name": "b", "reason": "Foreign"}]}, False, True, id="a stranger"),
        pytest.param({"leftOut": [{"name": "b", "reason": "ReportRefused"}]}, True, True, id="a new trouble"),
        pytest.param(condition(1, status="False"), True, True, id="a condition"),
        pytest.param(condition(1, reason="Other"), True, True, id="a condition's reason"),
        pytest.param(condition(0, message="paused"), True, True, id="what Ready says"),
        pytest.param({"observedGeneration": 4}, True, True, id="an edit"),
        pytest.param({"tuning": {"generation": 18}}, True, True, id="a generation"),
        pytest.param({"tuning": {"generation": 17, "values": {"workers": 3}}}, True, True, id="values"),
        pytest.param({"pending": {"generation": 17}}, True, True, id="a verdict to come"),
        pytest.param({"decisions": [{"generation": 18}]}, True, True, id="a change"),
        pytest.param({"tuner": {"version": 1}}, True, True, id="a memory that goes"),
    ],
)
def test_whether_a_pass_writes_its_status(change: dict[str, Any], at_once: bool, later: bool) -> None:
    fresh = {**STORED, **change, "lastUpdateTime": "2026-01-01T12:01:00.000Z"}

    assert due(STORED, fresh, WRITTEN + INTERVAL) is at_once
    assert due(STORED, fresh, WRITTEN + REFRESHED_EVERY - timedelta(seconds=1)) is at_once
    assert due(STORED, fresh, WRITTEN + REFRESHED_EVERY) is later
    assert due(STORED, fresh, WRITTEN + INTERVAL, at_once=True) is later


@pytest.mark.parametrize("written", [None, "noon", 7, "2026-01-01T12:00:00"])
def test_a_status_of_which_nobody_knows_how_old_it_is_is_refreshed(written: object) -> None:
    stored = {**STORED, "lastUpdateTime": written}
    assert due(stored, {**STORED, "pods": {}}, WRITTEN)
    assert not due(stored, STORED, WRITTEN)


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
    status = render_status({}, report(memory=memory), NOW)

    assert parse_memory(render_tuner(memory), status) == memory
    assert "tuner" not in status


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({}, id="no status yet"),
        pytest.param({"tuner": {"changes": ["yesterday"], "rejected": [{}]}, "pending": {"x": 1}}, id="nonsense"),
        pytest.param({"tuner": {"oversized": [], "first": 3}, "tuning": {"lastKnownGood": 7}}, id="other shapes"),
    ],
)
def test_a_memory_that_cannot_be_read_is_empty(status: dict[str, Any]) -> None:
    assert parse_memory(status.get("tuner", {}), status) == Memory()


def test_the_memory_stays_small() -> None:
    rendered = render_tuner(Memory(unknown={"regimes": "x" * MOST_BYTES}))

    full = Memory(known=tuple(Known(values(n), 83.25 + n, 0.0201, 3, NOW) for n in range(1, MOST_KNOWN + 1)))
    assert len(orjson.dumps(render_tuner(full))) < MOST_BYTES
    assert "regimes" not in rendered
    assert render_tuner(Memory(unknown={"regimes": "x"}))["regimes"] == "x"


def test_a_trial_says_what_is_tried_where_and_survives() -> None:
    memory = Memory(pending=pending(tried_on=("b", "a")))
    status = render_status({}, report(memory=memory, fleet=fleet(total=6)), NOW)

    assert status["pending"]["trying"] == "workers 2→4, postgres 10→8 on 2 of 6 pods"
    assert parse_memory(render_tuner(memory), status) == memory
    assert "trying" not in render_status({}, report(memory=Memory(pending=pending())), NOW)["pending"]


def test_a_pending_change_shows_its_baseline() -> None:
    assert render_pending(pending())["baseline"]["p95Seconds"] == 0.02
