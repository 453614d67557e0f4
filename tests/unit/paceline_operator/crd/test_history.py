"""What `paceline-operator why` tells of a status, entry by entry."""

from datetime import UTC, datetime
from typing import Any

import pytest
from paceline_operator.crd.history import changes_made, explain

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOLD = {"time": "2026-01-01T11:30:00Z", "generation": 6, "reason": "WithinTolerance", "message": "fine"}
CHANGE = {
    "time": "2026-01-01T11:40:00Z",
    "generation": 7,
    "reason": "PoolWaitHigh",
    "message": "postgres 5→10: postgres wait p99 146ms > 3.6ms",
    "changes": [{"tunable": "pools.postgres", "old": 5, "new": 10}],
    "p95": "210ms",
    "traceID": "4bf92f3577b34da6a3ce929d0e0e4736",
}
RUN = {**HOLD, "time": "2026-01-01T11:41:00Z", "generation": 7, "p95": "41ms"}


def told(*decisions: dict[str, Any], at: datetime = NOON, jaeger: str | None = None, **more: dict[str, Any]) -> str:
    holds = [more.pop("hold")] if "hold" in more else []
    return explain("shop/api", changes_made({"decisions": list(decisions), **more}, at, holds), at, jaeger)


def test_a_change_is_told_with_its_reason_its_effect_and_its_trace() -> None:
    assert told(CHANGE, hold=RUN).splitlines() == [
        "2026-01-01 11:40:00 UTC  generation 7  PoolWaitHigh",
        "  postgres 5→10: postgres wait p99 146ms > 3.6ms",
        "  p95 210ms → 41ms",
        "  trace 4bf92f3577b34da6a3ce929d0e0e4736",
    ]


def test_the_trace_is_a_link_where_jaeger_is_known() -> None:
    link = "  trace http://127.0.0.1:16686/trace/4bf92f3577b34da6a3ce929d0e0e4736"
    assert told(CHANGE, jaeger="http://127.0.0.1:16686/").splitlines()[-1] == link


def test_what_came_of_the_newest_change_may_not_be_known_yet() -> None:
    before = {"time": CHANGE["time"], "p95": "210ms"}
    for earlier in ({}, {"hold": HOLD}, {"observed": before}, {"observed": {}}):
        assert "  p95 210ms → not measured yet" in told(CHANGE, **earlier).splitlines()


def test_what_was_observed_last_tells_it_until_a_hold_is_stored() -> None:
    observed = {"time": "2026-01-01T11:45:00Z", "p95": "39ms"}
    assert "  p95 210ms → 39ms" in told(CHANGE, observed=observed).splitlines()
    assert "  p95 210ms → 41ms" in told(CHANGE, observed=observed, hold=RUN).splitlines()
    later = {**CHANGE, "time": "2026-01-01T11:40:30Z", "generation": 8, "p95": "44ms"}
    assert "  p95 210ms → 44ms" in told(CHANGE, later, hold=RUN).splitlines()


def test_a_run_of_holds_counts_from_its_beginning() -> None:
    going_on = {**HOLD, "time": "2026-01-01T11:50:00Z", "since": "2026-01-01T11:30:00Z", "p95": "200ms"}
    assert "  p95 210ms → not measured yet" in told(CHANGE, hold=going_on).splitlines()


@pytest.mark.parametrize(
    ("decisions", "at"),
    [
        pytest.param([], NOON, id="a-status-without-decisions"),
        pytest.param([HOLD], NOON, id="only-holds"),
        pytest.param([{**CHANGE, "recommended": True}], NOON, id="what-was-only-recommended"),
        pytest.param([CHANGE], NOON.replace(hour=13), id="a-change-too-long-ago"),
        pytest.param([CHANGE], NOON.replace(hour=11), id="a-change-after-that-time"),
        pytest.param([{**CHANGE, "time": "yesterday"}], NOON, id="an-entry-that-cannot-be-read"),
    ],
)
def test_no_change_is_a_clear_answer_too(decisions: list[dict[str, Any]], at: datetime) -> None:
    assert (
        told(*decisions, at=at) == f"shop/api: no change within 60 min before {at:%Y-%m-%d %H:%M:%S} UTC: not Paceline"
    )
