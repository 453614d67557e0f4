"""What a policy's checkpoint holds, how large it may become, when it is written, and what is made of a broken one."""

from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline_operator.core.model.decision import Change, Decision, Reason
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.core.situation.memory import Memory, Rejected
from paceline_operator.crd.checkpoint import (
    MOST_HOLD_BYTES,
    MOST_HOLDS,
    MOST_MESSAGE,
    WRITTEN_EVERY,
    Checkpoint,
    due,
    held,
    learnt,
    parse_checkpoint,
    render_checkpoint,
    taken_over,
)
from paceline_operator.crd.decisions import Decided
from paceline_operator.crd.document import TuningDocument
from paceline_operator.crd.intent import remembered
from paceline_operator.crd.memory import MOST_BYTES, parse_memory
from paceline_operator.errors import InvalidState
from situations import NOW, values

MINUTE = timedelta(minutes=1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMED = st.dictionaries(st.sampled_from(["generation", "memory", "holds", "changes", "known", "other"]), JSON)


def hold(reason: Reason, message: str = "") -> Decided:
    return Decided(Decision((), reason, message), 3, values(), applied=False)


def test_it_comes_back_as_it_was() -> None:
    checkpoint, _ = held(learnt(Checkpoint(17), Memory(changes=(NOW,))), hold(Reason.NO_TRAFFIC, "idle"), NOW, MINUTE)

    assert parse_checkpoint(orjson.loads(orjson.dumps(render_checkpoint(checkpoint)))) == checkpoint
    assert parse_memory(checkpoint.memory, {}).changes == (NOW,)


def test_holds_are_counted_and_recommendations_are_among_them() -> None:
    more = Decision((Change(WORKERS, 2, 4),), Reason.LOOP_LAG_HIGH, "more")
    checkpoint, news = Checkpoint(), []
    told = [hold(Reason.NO_TRAFFIC), hold(Reason.NO_TRAFFIC), Decided(more, 3, values(), applied=False)]
    for minute, one in enumerate(told):
        checkpoint, new = held(checkpoint, one, NOW + minute * MINUTE, MINUTE)
        news.append(new)

    assert news == [True, False, True]
    assert [(run["reason"], run.get("count"), run.get("recommended")) for run in checkpoint.holds] == [
        ("NoTraffic", 2, None),
        ("LoopLagHigh", 1, True),
    ]
    assert all(run.get("since") for run in checkpoint.holds), "kubectl shows how many, and since when"


def test_no_checkpoint_reaches_64_kib() -> None:
    checkpoint = learnt(
        Checkpoint(), Memory(unknown={"regimes": "x" * MOST_BYTES}, rejected=(Rejected(values(), NOW),))
    )
    for number in range(3 * MOST_HOLDS):
        reason = (Reason.NO_TRAFFIC, Reason.WITHIN_TOLERANCE)[number % 2]
        checkpoint, _ = held(checkpoint, hold(reason, "€" * 10_000), NOW + number * MINUTE, MINUTE)

    assert len(orjson.dumps(render_checkpoint(checkpoint))) < 40 << 10
    assert len(orjson.dumps(checkpoint.holds)) <= MOST_HOLD_BYTES
    assert 5 < len(checkpoint.holds) <= MOST_HOLDS
    assert checkpoint.holds[-1]["message"] == "€" * MOST_MESSAGE


REMEMBERED = learnt(Checkpoint(17), Memory())


@pytest.mark.parametrize(
    ("stored", "present", "at_once", "later"),
    [
        pytest.param(None, Checkpoint(), False, False, id="nothing to remember"),
        pytest.param(None, REMEMBERED, True, True, id="the first"),
        pytest.param(REMEMBERED, REMEMBERED, False, False, id="the same"),
        pytest.param(REMEMBERED, learnt(Checkpoint(17), Memory(cpu={2: 0.1})), False, True, id="something learnt"),
        pytest.param(
            REMEMBERED, Checkpoint(17, REMEMBERED.memory, ({"reason": "NoTraffic"},)), False, True, id="a hold"
        ),
        pytest.param(REMEMBERED, Checkpoint(18, REMEMBERED.memory), True, True, id="a change"),
        pytest.param(
            REMEMBERED, learnt(Checkpoint(17), Memory(rejected=(Rejected(values(), NOW),))), True, True, id="a verdict"
        ),
    ],
)
def test_when_it_is_written(stored: Checkpoint | None, present: Checkpoint, at_once: bool, later: bool) -> None:
    assert due(stored, present, timedelta()) is at_once
    assert due(stored, present, WRITTEN_EVERY - MINUTE) is at_once
    assert due(stored, present, WRITTEN_EVERY) is later


@pytest.mark.parametrize("content", [{"memory": 7}, {"memory": ["a"]}, {"holds": 7}, {"memory": "x", "holds": []}])
def test_what_is_no_checkpoint_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(InvalidState, match="TuningCheckpoint"):
        parse_checkpoint(content)


@given(NAMED, st.integers(0, 2))
def test_whatever_somebody_stores_a_hold_can_be_noted_on_it(content: dict[str, Any], minute: int) -> None:
    try:
        checkpoint = parse_checkpoint(content)
    except InvalidState:
        return
    parse_memory(checkpoint.memory, content)
    noted, _ = held(checkpoint, hold(Reason.NO_TRAFFIC), NOW + minute * MINUTE, MINUTE)
    assert noted.holds[-1]["reason"] == "NoTraffic"


def test_what_an_earlier_version_kept_in_the_status_is_taken_over() -> None:
    run = {"time": "2026-01-01T00:00:00Z", "reason": "NoTraffic", "message": "x" * 2000, "count": 4}
    change = {**run, "changes": [{"tunable": "workers", "new": 2}], "values": {"workers": 2}}
    status = {"tuning": {"generation": 9}, "tuner": {"version": 1, "tried": "a"}, "decisions": [run, change]}

    checkpoint = taken_over(status)

    assert (checkpoint.generation, checkpoint.memory) == (9, {"version": 1, "tried": "a"})
    assert checkpoint.holds == ({**run, "message": "x" * MOST_MESSAGE},)
    assert taken_over({"tuner": 7, "decisions": [], "tuning": {"generation": "x"}}) == Checkpoint()


TUNER = {"changes": ["2026-01-01T00:00:00.000Z"], "ceiling": {"workers": 3, "template": "a"}, "known": ["no"]}


@pytest.mark.parametrize(
    ("generation", "policy", "intent", "taught"),
    [
        pytest.param(18, "shop/api", {"tuner": TUNER}, {"changes", "ceiling"}, id="a change that it does not know of"),
        pytest.param(17, "shop/api", {"tuner": TUNER}, set(), id="one that it knows of"),
        pytest.param(18, "shop/other", {"tuner": TUNER}, set(), id="another policy's"),
        pytest.param(18, "shop/api", {}, set(), id="a document without an intent"),
        pytest.param(18, "shop/api", {"tuner": 7}, set(), id="nonsense"),
        pytest.param(18, "shop/api", {"tuner": "changes"}, set(), id="more nonsense"),
    ],
)
def test_a_document_teaches_what_its_change_taught(
    generation: int, policy: str, intent: dict[str, Any], taught: set[str]
) -> None:
    document = TuningDocument(generation, values(), policy, "sha256:0", intent=intent)

    after = remembered(Checkpoint(17, {"tried": "a"}), document, "shop/api")

    assert after.memory == {"tried": "a", **{name: TUNER[name] for name in taught}}
    assert after.generation == (generation if policy == "shop/api" else 17)
    assert remembered(after, document, "shop/api") == after
