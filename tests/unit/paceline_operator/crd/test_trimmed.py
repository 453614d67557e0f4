"""How long `status.decisions` may become, and what leaves it first."""

from hypothesis import given
from hypothesis import strategies as st
from paceline_operator.crd.decisions import MOST_CHANGES, MOST_HOLDS, trimmed

CHANGE = {"changes": [{"tunable": "workers", "new": 2}]}
ENTRIES = st.lists(st.sampled_from([CHANGE, {**CHANGE, "recommended": True}, {"reason": "NoTraffic"}]), max_size=120)


@given(ENTRIES)
def test_holds_and_recommendations_never_push_a_change_out(entries: list[dict[str, object]]) -> None:
    numbered = [{**entry, "generation": number} for number, entry in enumerate(entries)]
    made = [entry for entry in numbered if entry.get("changes") and not entry.get("recommended")]
    left = trimmed(numbered)
    assert [entry for entry in left if entry in made] == made[-MOST_CHANGES:]
    assert len(left) <= MOST_CHANGES + MOST_HOLDS
    assert left == [entry for entry in numbered if entry in left], "in the order of time"
