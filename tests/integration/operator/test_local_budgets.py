"""A ConnectionBudget in the folder of local mode: divided as in a cluster, with its ledger in a file."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from http_pod import PROMPTLY, HttpPod
from serving import eventually

if TYPE_CHECKING:
    from conftest import StartOperator

POOL = {"name": "postgres", "budgetRef": {"name": "main"}}


def say(folder: Path, **spec: Any) -> None:
    """As a person who saves the budget."""
    kind = {"apiVersion": "paceline.dev/v1alpha1", "kind": "ConnectionBudget"}
    (folder / "budget.yaml").write_text(yaml.safe_dump({**kind, "metadata": {"name": "main"}, "spec": spec}))


def told(folder: Path) -> dict[str, Any]:
    file = folder / "default.main.budget-status.yaml"
    return dict(yaml.safe_load(file.read_text())) if file.exists() else {}


def within(folder: Path) -> tuple[str, str]:
    found = {each["type"]: each for each in told(folder).get("conditions", ())}.get("WithinBudget", {})
    return found.get("status", ""), found.get("reason", "")


def table(folder: Path, name: str = "default/main") -> subprocess.CompletedProcess[str]:
    code = "from paceline_operator.cli import main; main()"
    command = [sys.executable, "-c", code, "budget", name, "--folder", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.invariant
def test_what_the_budget_has_no_room_for_is_not_written(
    tmp_path: Path, pod: HttpPod, start_operator: "StartOperator"
) -> None:
    say(tmp_path, maxConnections=10, reserved=4)
    operator = start_operator(tmp_path, [pod.url])
    operator.apply(mode="Auto", workers={"value": 2}, pools=[{**POOL, "value": 4}])

    refused = "BudgetExhausted"
    eventually(lambda: refused in str(operator.status()), "8 of 6 are refused", PROMPTLY)
    assert pod.model.values["workers"] * pod.model.values["pools"]["postgres"] <= 6

    say(tmp_path, maxConnections=12, reserved=4)
    eventually(lambda: pod.model.values["pools"]["postgres"] == 4, "there is room now", PROMPTLY)
    eventually(lambda: told(tmp_path)["worst"] == 8, "and it is in the ledger", PROMPTLY)
    assert within(tmp_path) == ("True", "Fits")


def test_the_table_is_told_of_a_folder(tmp_path: Path, pod: HttpPod, start_operator: "StartOperator") -> None:
    operator = start_operator(tmp_path, [pod.url])
    operator.apply(pools=[POOL])
    eventually(lambda: operator.condition("Ready")[0] == "True", "the policy is understood", PROMPTLY)
    say(tmp_path, maxConnections=20, reserved=4)
    eventually(lambda: within(tmp_path) == ("True", "Fits"), "it is counted", PROMPTLY)

    shown = table(tmp_path)
    assert shown.stdout.startswith("default/main: 1 of 16 connections at the worst"), shown
    assert "default/api  Process/api  Recommend" in shown.stdout
    assert "has no ConnectionBudget default/other; it has default/main" in table(tmp_path, "default/other").stderr


def test_a_budget_that_went_lets_nothing_grow(tmp_path: Path, pod: HttpPod, start_operator: "StartOperator") -> None:
    say(tmp_path, maxConnections=20, reserved=4)
    operator = start_operator(tmp_path, [pod.url])
    operator.apply(mode="Auto", pools=[{**POOL, "value": 2}])
    eventually(lambda: pod.model.values["pools"]["postgres"] == 2, "it fits", PROMPTLY)

    (tmp_path / "budget.yaml").unlink()
    eventually(lambda: "BudgetNotFound" in str(operator.status()), "the policy says so", PROMPTLY)
    operator.apply(mode="Auto", pools=[{**POOL, "value": 3}])
    eventually(lambda: operator.status()["observedGeneration"] == 2, "the edit is seen", PROMPTLY)
    assert pod.model.values["pools"]["postgres"] == 2
