"""What the progress makes of events, and what the verdict makes of the progress."""

from typing import Any

import orjson
import pytest
from paceline.load.results import Recorder, Window
from paceline.local.pod import Running
from paceline.local.progress import Decision, Progress, parse_decision
from paceline.local.summary import judge

OBJECTIVE_SECONDS = 0.1
SLOW = "p95 over the last 20 s was 2 s; the objective is 100 ms"


def window(p95: float, *, succeeded: int = 100, failures: dict[str, int] | None = None, late: float = 0.0) -> Window:
    """A second in which every request took `p95`."""
    recorder = Recorder(late=late)
    for _ in range(succeeded):
        recorder.succeeded(p95)
    for kind, count in (failures or {}).items():
        recorder.failures[kind] += count
    return recorder.window(1.0)


def decision(generation: int, *, old: int | None = 1, new: int = 2, acked: bool = True) -> Decision:
    change = {"tunable": "pools.postgres", "old": old, "new": new}
    return Decision("PoolWaitHigh", f"postgres {old}→{new}", generation, (change,), {}, acked)


def hold(reason: str = "WithinTolerance") -> Decision:
    return Decision(reason, "all is well", 1, (), {}, True)


def tuned_demonstration() -> Progress:
    """Slow for ten seconds, two decisions, then fast for twenty."""
    progress = Progress()
    for second in range(1, 31):
        progress.sampled(float(second), window(1.5 if second <= 10 else 0.02), outstanding=0)
        if second in {6, 10}:
            progress.decided(float(second), decision(1 if second == 6 else 2))
    return progress


def test_a_change_that_is_told_twice_is_one_row_and_becomes_acked() -> None:
    progress = Progress()
    progress.decided(5.0, decision(1, acked=False))
    progress.decided(5.8, decision(1, acked=True))
    progress.decided(11.0, decision(2))
    assert [(row.at, row.decision.acked) for row in progress.rows] == [(5.0, True), (11.0, True)]


def test_a_hold_is_shown_until_something_is_changed() -> None:
    progress = Progress()
    progress.decided(1.0, hold())
    assert progress.hold == hold()
    progress.decided(2.0, decision(1))
    assert progress.hold is None


def test_a_row_says_what_clients_saw_just_before() -> None:
    progress = tuned_demonstration()
    assert [row.p95_seconds for row in progress.rows] == pytest.approx([1.5, 1.5], rel=0.01)


def test_what_ran_first_is_kept_and_silence_changes_nothing() -> None:
    progress = Progress()
    progress.reported(None)
    progress.reported(Running(0, 1, {"postgres": 1}))
    progress.reported(Running(1, 1, {"postgres": 2}))
    progress.reported(None)
    assert (progress.first, progress.running) == (Running(0, 1, {"postgres": 1}), Running(1, 1, {"postgres": 2}))


def test_percentiles_of_windows_are_merged_not_averaged() -> None:
    progress = Progress()
    progress.sampled(1.0, window(0.01, succeeded=1900), outstanding=0)
    progress.sampled(2.0, window(1.0, succeeded=100), outstanding=0)
    # One answer in twenty is slow: the mean of the two p95 would be half a second.
    assert progress.p95_seconds(0.0, 2.0) == pytest.approx(0.01, rel=0.01)
    assert progress.p95_seconds(2.0, 3.0) is None


def test_a_tuned_service_is_as_promised() -> None:
    summary = judge(tuned_demonstration(), OBJECTIVE_SECONDS, ended=30.0)
    assert summary.shortcomings == ()
    assert summary.before_seconds == pytest.approx(1.5, rel=0.01)
    assert summary.after_seconds == pytest.approx(0.02, rel=0.01)


@pytest.mark.parametrize(
    ("spoil", "shortcoming"),
    [
        (lambda progress: progress.rows.pop(), "the operator made 1 decision; at least 2 were expected"),
        (lambda progress: progress.sampled(30.0, window(2.0, succeeded=500), 0), SLOW),
        (
            lambda progress: progress.sampled(30.0, window(2.0, succeeded=500, late=0.15), 0),
            f"{SLOW} (this machine was busy: the load generator itself was up to 150 ms late)",
        ),
        (
            lambda progress: progress.sampled(
                12.0, window(0.02, failures={"HTTP 503": 2, "response is not HTTP": 1}), 0
            ),
            "3 requests failed: 2 × HTTP 503, 1 × response is not HTTP",
        ),
    ],
    ids=["too few decisions", "slow at the end", "a machine too busy to say", "requests failed"],
)
def test_what_is_missing_is_said(spoil: Any, shortcoming: str) -> None:
    progress = tuned_demonstration()
    spoil(progress)
    assert judge(progress, OBJECTIVE_SECONDS, ended=30.0).shortcomings == (shortcoming,)


def test_no_responses_at_the_end_are_not_a_success() -> None:
    assert (
        "no request succeeded in the last 20 s"
        in judge(tuned_demonstration(), OBJECTIVE_SECONDS, ended=60.0).shortcomings
    )


WIRE = {
    "time": "2026-11-22T23:03:57Z",
    "policy": "default/api",
    "generation": 3,
    "reason": "PoolWaitHigh",
    "message": "postgres 2→4",
    "changes": [{"tunable": "pools.postgres", "old": 2, "new": 4}],
    "p95": 0.41,
    "values": {"workers": 1, "pools": {"postgres": 4}, "caches": {}},
    "acked": False,
}


def test_a_line_of_the_operator_is_understood() -> None:
    assert parse_decision(orjson.dumps(WIRE)) == Decision(
        "PoolWaitHigh", "postgres 2→4", 3, (WIRE["changes"][0],), WIRE["values"], False  # type: ignore[index,arg-type]
    )  # fmt: skip


@pytest.mark.parametrize("line", [b"", b"starting", b"[]", b'{"reason": "PoolWaitHigh"}', b"\xff"])
def test_any_other_line_is_left_alone(line: bytes) -> None:
    assert parse_decision(line) is None
