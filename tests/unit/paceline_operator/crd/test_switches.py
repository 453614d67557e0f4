"""What annotations mean: who pauses, what is gone back to, and what is refused with which words."""

from typing import Any

import pytest
from paceline_operator.core.model.tunables import WORKERS, pool
from paceline_operator.core.situation.situation import Held
from paceline_operator.crd.switches import PAUSED, ROLLBACK, read_switches, switched
from paceline_operator.errors import InvalidSpec

STATUS = {
    "tuning": {"generation": 7, "values": {"workers": 4, "pools": {"postgres": 8}}},
    "decisions": [
        {"generation": 0, "reason": "InsufficientTelemetry"},
        {"generation": 5, "reason": "LoopLagHigh", "values": {"workers": 2, "pools": {"postgres": 10}}},
        {"generation": 6, "reason": "PoolWaitHigh", "values": "nonsense"},
    ],
}


@pytest.mark.parametrize(
    ("policy", "namespace", "by"),
    [
        pytest.param(None, None, None, id="nobody-asks"),
        pytest.param("true", None, "policy", id="the-policy-asks"),
        pytest.param("True", None, "policy", id="in-capitals"),
        pytest.param(None, "true", "namespace", id="the-namespace-asks-for-all-its-policies"),
        pytest.param("false", "true", None, id="a-policy-stays-out-of-its-namespaces-pause"),
        pytest.param("yes", None, "policy", id="yes"),
        pytest.param("1", None, "policy", id="one"),
        pytest.param(" On ", None, "policy", id="on-with-blanks"),
        pytest.param("", None, "policy", id="no-value-at-all"),
        pytest.param("off", "true", None, id="off"),
    ],
)
def test_who_pauses(policy: str | None, namespace: str | None, by: str | None) -> None:
    switches = read_switches(_annotations(PAUSED, policy), _annotations(PAUSED, namespace), {})

    assert switches.paused_by == by
    assert switches.paused is (by is not None)


@pytest.mark.parametrize("text", ["maybe", "ture", "2", "y\u0435s", "null", "x" * 200_000])
@pytest.mark.parametrize("whose", ["policy", "namespace"])
def test_a_pause_that_cannot_be_read_is_refused(text: str, whose: str) -> None:
    annotations = {"policy": {}, "namespace": {}, whose: {PAUSED: text}}
    with pytest.raises(InvalidSpec, match="neither yes nor no") as raised:
        read_switches(annotations["policy"], annotations["namespace"], {})
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    ("policy", "namespace", "held"),
    [
        pytest.param(None, None, None, id="nothing"),
        pytest.param(
            "5", None, Held("generation 5", {WORKERS: 2, pool("postgres"): 10}), id="a-generation-of-a-decision"
        ),
        pytest.param("7", None, Held("generation 7", {WORKERS: 4, pool("postgres"): 8}), id="the-generation-in-force"),
        pytest.param("baseline", None, Held("baseline", None), id="what-pods-start-with"),
        pytest.param("0", None, Held("baseline", None), id="generation-0-is-the-baseline"),
        pytest.param(" 7 ", None, Held("generation 7", {WORKERS: 4, pool("postgres"): 8}), id="with-blanks"),
        pytest.param("Baseline", None, Held("baseline", None), id="with-a-capital"),
        pytest.param(None, "baseline", Held("baseline", None), id="the-namespace-means-all-its-policies"),
        pytest.param(
            "7", "baseline", Held("generation 7", {WORKERS: 4, pool("postgres"): 8}), id="the-policy-goes-first"
        ),
    ],
)
def test_what_is_gone_back_to(policy: str | None, namespace: str | None, held: Held | None) -> None:
    assert read_switches(_annotations(ROLLBACK, policy), _annotations(ROLLBACK, namespace), STATUS).held == held


@pytest.mark.parametrize(
    ("policy", "namespace", "problem"),
    [
        pytest.param("last", None, "'last' is neither a generation nor 'baseline'", id="another-word"),
        pytest.param("-1", None, "'-1' is neither", id="a-negative-number"),
        pytest.param("٣", None, "is neither", id="a-digit-of-another-script"),
        pytest.param(
            "3", None, "the values of generation 3 are not known, only those of 5, 7", id="a-forgotten-generation"
        ),
        pytest.param("6", None, "generation 6 are not known", id="a-generation-whose-values-cannot-be-read"),
        pytest.param("9" * 5000, None, "is neither", id="more digits than any generation has"),
        pytest.param("x" * 200_000, None, "is neither", id="a novel"),
        pytest.param(None, "5", "'5' on the namespace is not 'baseline'", id="a-generation-on-a-namespace"),
    ],
)
def test_what_cannot_be_gone_back_to_is_said(policy: str | None, namespace: str | None, problem: str) -> None:
    with pytest.raises(InvalidSpec, match=r"annotation paceline\.dev/rollback: .*(correct|annotate)") as raised:
        read_switches(_annotations(ROLLBACK, policy), _annotations(ROLLBACK, namespace), STATUS)

    assert problem in str(raised.value)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("name", [PAUSED, ROLLBACK])
@pytest.mark.parametrize("where", [0, 1], ids=["on-the-policy", "on-the-namespace"])
def test_a_thrown_switch_is_seen(name: str, where: int) -> None:
    before: list[dict[str, Any]] = [{"other": "1"}, {}]
    after = [*before[:where], {**before[where], name: "true"}, *before[where + 1 :]]

    assert switched(*before) != switched(*after)
    assert switched(*before) == switched({}, {"kubernetes.io/metadata.name": "shop"})


def _annotations(name: str, value: str | None) -> dict[str, str]:
    return {} if value is None else {name: value}
