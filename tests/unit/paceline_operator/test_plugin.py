"""The plugin's command line: the same commands as the operator's, one entry point, krew's manifest that names it."""

import re
import tomllib
from pathlib import Path

import yaml
from paceline_operator.cli import app as whole
from paceline_operator.plugin import app
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]


def names(typed: object) -> set[str | None]:
    commands = typed.registered_commands  # type: ignore[attr-defined]
    return {each.name or each.callback.__name__ for each in commands}


def test_whatever_the_plugin_has_the_operator_has() -> None:
    assert names(app) == {"why", "top", "pause", "resume", "rollback", "budget", "export", "inspect"}
    assert names(app) < names(whole)


def test_krew_is_told_the_entry_point_and_nothing_that_goes_stale() -> None:
    text = (ROOT / "packaging" / "krew.yaml").read_text()
    manifest = yaml.safe_load(text)
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]

    assert {platform["bin"] for platform in manifest["spec"]["platforms"]} == {"kubectl-paceline"}
    assert "kubectl-paceline" in scripts
    assert manifest["metadata"]["name"] == "paceline"
    assert len(manifest["spec"]["shortDescription"]) <= 60
    given = {"VERSION", "HOMEPAGE", "URI", "SHA256"}
    assert set(re.findall(r"\$\{(\w+)\}", text)) == given
    assert not re.search(r"[0-9a-f]{64}", text)


def test_a_manifest_from_stdin_is_inspected_without_a_cluster() -> None:
    run = CliRunner().invoke(
        app, ["inspect", "-f", "-"], input=(ROOT / "k8s" / "manifests" / "service.yaml").read_text()
    )
    assert (run.exit_code, run.output) == (0, "")


def test_what_is_to_be_inspected_has_to_be_said() -> None:
    for arguments, message in (
        (["inspect"], "inspect what? Write deploy/NAME"),
        (["inspect", "shop"], "'shop' names no workload: write deploy/NAME, sts/NAME"),
        (["inspect", "-f", "-"], "the manifests hold no workload"),
        (["inspect", "sts/shop", "-f", "-"], "the manifests hold no StatefulSet shop"),
    ):
        run = CliRunner().invoke(app, arguments, input="kind: ConfigMap\n")
        assert message in str(run.exception), arguments
