"""How long `status.decisions` may become, what leaves it first, and how holds are counted."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from paceline_operator.crd.decisions import MOST_CHANGES, MOST_REWRITES, changes_of, counted

CHANGE = {"changes": [{"tunable": "workers", "new": 2}], "values": {"workers": 2}}
REWRITE = {"reason": "ExternalChange", "values": {"workers": 2}}
ENTRIES = st.lists(
    st.sampled_from([CHANGE, REWRITE, {**CHANGE, "recommended": True}, {"reason": "NoTraffic"}]), max_size=150
)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@given(ENTRIES)
def test_only_documents_that_were_written_are_kept_and_none_pushes_a_change_out(entries: list[dict[str, Any]]) -> None:
    numbered = [{**entry, "generation": number} for number, entry in enumerate(entries)]
    made = [entry for entry in numbered if entry.get("changes") and not entry.get("recommended")]
    left = changes_of(numbered)
    assert [entry for entry in left if entry.get("changes")] == made[-MOST_CHANGES:]
    assert all(entry.get("values") and not entry.get("recommended") for entry in left)
    assert len(left) <= MOST_CHANGES + MOST_REWRITES
    assert left == [entry for entry in numbered if entry in left], "in the order of time"


def test_equal_holds_in_a_row_are_one_run_counted_from_the_clock() -> None:
    runs: list[Any] = []
    news = []
    for minute, reason in enumerate(["NoTraffic"] * 4 + ["WithinTolerance"] * 2 + ["NoTraffic"]):
        now = NOON + minute * MINUTE
        entry = {"time": now.isoformat(), "reason": reason, "generation": 3}
        runs, new = counted(runs, entry, now, MINUTE)
        news.append(new)

    assert news == [True, False, False, False, True, False, True]
    assert [(run["reason"], run.get("count", 1)) for run in runs] == [
        ("NoTraffic", 4), ("WithinTolerance", 2), ("NoTraffic", 1),
    ]  # fmt: skip


def test_a_run_whose_beginning_cannot_be_read_begins_now() -> None:
    for since in ("noon", 7, "2026-01-01T11:00:00", "2027-01-01T00:00:00Z"):
        entry = {"time": NOON.isoformat(), "reason": "NoTraffic"}
        (run,), news = counted([{**entry, "since": since}], entry, NOON, MINUTE)
        assert (run["count"], news) == (1, False)
