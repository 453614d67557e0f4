"""`paceline-operator decide`: what it says where the policy gives a value that does not run yet."""

from io import StringIO
from pathlib import Path

import pytest
from paceline_operator.core.model.decision import Reason
from paceline_operator.core.model.tunables import WORKERS, Kind, Tunable
from paceline_operator.replay import as_json, explained, replay
from rich.console import Console

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
POSTGRES = Tunable(Kind.POOL, "postgres")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    pinned = tmp_path / "policy.yaml"
    text = (EXAMPLES / "policy.yaml").read_text().replace("p95: 45ms", "p95: 45ms, prefer: latency")
    pinned.write_text(text.replace("min: 1, max: 40}", "value: 5}"))
    assert pinned.read_text() != text
    return pinned


def test_it_shows_what_follows_a_value_that_the_policy_gives(policy: Path) -> None:
    situation, decision = replay(policy, EXAMPLES / "state.json", None)

    changed = {change.tunable: change.new for change in decision.changes}
    assert decision.reason is Reason.PINNED_BY_SPEC
    assert changed.keys() == {WORKERS, POSTGRES}
    assert "postgres 2→5: the policy gives the value; then, as the model predicts, workers 1→" in decision.message
    wire = as_json(situation, decision)
    assert wire["values"]["pools"] == {"postgres": 5}
    assert wire["values"]["workers"] == changed[WORKERS]


def test_what_was_considered_has_that_value(policy: Path) -> None:
    said = StringIO()
    Console(width=200, file=said).print(explained(*replay(policy, EXAMPLES / "state.json", None)))
    rows = [line for line in said.getvalue().splitlines() if "postgres" in line and "│" in line]
    assert rows
    assert all("postgres 5" in row for row in rows), rows
    assert any("← chosen" in row for row in rows), rows
