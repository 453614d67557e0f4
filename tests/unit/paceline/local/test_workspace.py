"""The folder of a local platform."""

from pathlib import Path

import pytest
import yaml
from paceline.errors import UsageError
from paceline.local.workspace import Workspace, claimed


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "here")


@pytest.mark.parametrize("template", ["policy.yaml", "demo.yaml"])
def test_a_template_is_a_policy_with_an_objective(workspace: Workspace, template: str) -> None:
    workspace.prepare(None, template, anew=False)
    objective = workspace.objective_seconds()
    assert objective is not None
    assert 0.01 < objective < 1


def test_an_edited_policy_survives_the_next_start_but_not_a_demonstration(workspace: Workspace) -> None:
    workspace.prepare(None, "policy.yaml", anew=False)
    workspace.policy.write_text("edited: true")
    workspace.prepare(None, "policy.yaml", anew=False)
    assert workspace.policy.read_text() == "edited: true"
    workspace.prepare(None, "demo.yaml", anew=True)
    assert workspace.policy.read_text() != "edited: true"


def test_a_policy_of_ones_own_is_linked_and_forgotten_the_next_time(workspace: Workspace, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("spec: {objective: {p95: 1m30s}}")
    workspace.prepare(own, "policy.yaml", anew=False)
    assert workspace.objective_seconds() == 90
    own.write_text("spec: {objective: {p95: 20ms}}")
    assert workspace.objective_seconds() == 0.02
    workspace.prepare(None, "policy.yaml", anew=False)
    assert not workspace.policy.is_symlink()
    assert own.read_text() == "spec: {objective: {p95: 20ms}}"


def test_the_policy_is_found_beside_a_budget(workspace: Workspace) -> None:
    workspace.prepare(Path(__file__).parents[4] / "k8s/examples/budget.yaml", "policy.yaml", anew=False)
    assert workspace.objective_seconds() == 0.045


@pytest.mark.parametrize("content", ["", "[", "spec: {}", "spec: {objective: {p95: soon}}", "spec: [1]"])
def test_a_policy_without_an_objective_has_none(workspace: Workspace, content: str) -> None:
    workspace.prepare(None, "policy.yaml", anew=False)
    workspace.policy.write_text(content)
    assert workspace.objective_seconds() is None


@pytest.mark.parametrize(
    ("target", "kind", "name"),
    [
        ("{kind: Process, name: api}", "Process", "api"),
        ("{apiVersion: apps/v1, kind: Deployment, name: paceline-service}", "Deployment", "paceline-service"),
        ("{name: shop}", "Deployment", "shop"),
    ],
    ids=["ours", "as in a cluster", "no kind"],
)
def test_whatever_a_policy_names_is_the_one_service_here(
    workspace: Workspace, target: str, kind: str, name: str
) -> None:
    workspace.prepare(None, "policy.yaml", anew=False)
    workspace.policy.write_text(f"spec: {{targetRef: {target}}}")
    workspace.write_target(9090)
    (entry,) = yaml.safe_load((workspace.operator / "targets.yaml").read_text())
    assert entry == {
        "kind": kind,
        "name": name,
        "documentFile": "tuning.json",
        "stateUrls": ["http://127.0.0.1:9090/state"],
    }


def test_a_folder_is_for_one_at_a_time(tmp_path: Path) -> None:
    with claimed(tmp_path):  # noqa: SIM117
        with pytest.raises(UsageError, match="another `paceline up` uses the folder"), claimed(tmp_path):
            pytest.fail("claimed twice")
    with claimed(tmp_path) as again:
        assert again == Workspace(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(UsageError, match=r"cannot write to the folder .*file: file exists"),
        claimed(tmp_path / "file"),
    ):
        pytest.fail("claimed a file")
