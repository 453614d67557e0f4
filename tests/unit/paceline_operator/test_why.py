"""`paceline-operator why` on its command line, over a folder as `paceline-operator local` keeps it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from paceline_operator.cli import app
from paceline_operator.errors import UsageError
from paceline_operator.why import parse_instant, parse_key
from typer.testing import CliRunner

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
POLICY = {
    "apiVersion": "paceline.dev/v1alpha1",
    "kind": "TuningPolicy",
    "metadata": {"name": "api"},
    "spec": {"targetRef": {"kind": "Process", "name": "api"}, "workers": {"value": 2}},
}
ENTRY = {
    "time": "2026-01-31T11:59:00.000Z",
    "generation": 3,
    "reason": "PinnedBySpec",
    "message": "workers 1→2: the policy gives the value",
    "changes": [{"tunable": "workers", "old": 1, "new": 2}],
}


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        pytest.param(None, NOW, id="nothing-is-now"),
        pytest.param("09:30", NOW.replace(hour=9, minute=30), id="a-time-of-today"),
        pytest.param("2026-01-30T14:05:00Z", NOW.replace(day=30, hour=14, minute=5), id="a-time-in-UTC"),
        pytest.param("2026-01-30T14:05:00+02:00", NOW.replace(day=30, hour=12, minute=5), id="a-time-elsewhere"),
    ],
)
def test_a_time_is_read_as_people_write_it(text: str | None, instant: datetime) -> None:
    assert parse_instant(text, NOW) == instant


@pytest.mark.parametrize("text", ["api", "/api", "shop/", "shop/api/more"])
def test_what_names_no_policy_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write NAMESPACE/NAME"):
        parse_key(text)


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(UsageError, match="--at 'noon' is no time"):
        parse_instant("noon", NOW)


def test_a_folder_answers_without_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "targets.yaml").write_text("[]")
    (tmp_path / "api.yaml").write_text(yaml.safe_dump(POLICY))
    (tmp_path / "api.status.yaml").write_text(yaml.safe_dump({"decisions": [ENTRY]}))

    result = CliRunner().invoke(app, ["why", "default/api", "--folder", str(tmp_path), "--at", "2026-01-31T12:00:00Z"])

    assert result.exit_code == 0, result.output
    assert "generation 3  PinnedBySpec" in result.output
    assert "workers 1→2: the policy gives the value" in result.output


def test_a_change_whose_operator_ended_before_it_wrote_it_down_is_told(tmp_path: Path) -> None:
    process = {
        "kind": "Process",
        "name": "api",
        "documentFile": "tuning.json",
        "stateUrls": ["http://127.0.0.1:1/state"],
    }
    (tmp_path / "targets.yaml").write_text(yaml.safe_dump([process]))
    (tmp_path / "api.yaml").write_text(yaml.safe_dump(POLICY))
    document = {
        "schema": "paceline.dev/tuning/v1",
        "generation": 3,
        "policy": "default/api",
        "values": {"workers": 2},
        "intent": {"decision": ENTRY},
    }
    (tmp_path / "tuning.json").write_text(json.dumps(document))
    hold = {"time": "2026-01-31T11:59:30.000Z", "reason": "WithinTolerance", "message": "fine", "p95": "12ms"}
    (tmp_path / "api.checkpoint.yaml").write_text(yaml.safe_dump({"policy": "default/api", "holds": [hold]}))

    result = CliRunner().invoke(app, ["why", "default/api", "--folder", str(tmp_path), "--at", "2026-01-31T12:00:00Z"])

    assert result.exit_code == 0, result.output
    assert "generation 3  PinnedBySpec" in result.output
    assert "p95 not measured → 12ms" in result.output


def test_a_policy_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "targets.yaml").write_text("[]")

    result = CliRunner().invoke(app, ["why", "default/other", "--folder", str(tmp_path)])

    assert isinstance(result.exception, UsageError)
    assert "no TuningPolicy default/other" in str(result.exception)
