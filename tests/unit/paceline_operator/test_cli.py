"""The operator's command line: what it refuses, with which words and which exit status."""

import subprocess
import sys
from pathlib import Path

import pytest

POLICY = """\
apiVersion: paceline.dev/v1alpha1
kind: TuningPolicy
metadata: {name: api}
spec:
  targetRef: {name: api}
"""

BUDGET = """\
apiVersion: paceline.dev/v1alpha1
kind: ConnectionBudget
metadata: {name: main}
spec:
  maxConnections: 200
"""


def operator(*arguments: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from paceline_operator.cli import main; main()", *arguments],
        input=text,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_policies_that_are_right_pass_in_silence(tmp_path: Path) -> None:
    file = tmp_path / "api.yaml"
    file.write_text(POLICY + "  workers: {value: 2}\n---\n" + BUDGET + "---\nkind: ConfigMap\napiVersion: v1\n")

    done = operator("check", str(file))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            POLICY + "  workers: {min: 4, max: 2}\n", "-: api: spec.workers: min is larger than max\n", id="a field"
        ),
        pytest.param("", "-: holds no TuningPolicy and no ConnectionBudget\n", id="nothing"),
        pytest.param(
            BUDGET + "  reserved: 300\n", "-: main: spec: reserved 300 leaves nothing of maxConnections", id="a budget"
        ),
        pytest.param("kind: TuningPolicy\napiVersion: v1\n", "-: apiVersion: 'v1', this version knows", id="a version"),
        pytest.param("just words\n", "-: not a Kubernetes object but str\n", id="words"),
        pytest.param("a: [", "-: not YAML: while parsing", id="no yaml"),
        pytest.param(POLICY.replace("{name: api}\nspec", "{}\nspec"), "-: metadata.name: is missing\n", id="no name"),
        pytest.param(POLICY.split("spec")[0], "-: spec: is missing\n", id="no spec"),
    ],
)
def test_what_is_wrong_is_one_line_and_status_2(text: str, message: str) -> None:
    done = operator("check", "-", text=text)

    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_each_problem_is_a_line() -> None:
    done = operator("check", "-", "/nowhere/x.yaml", text=POLICY + "  mode: On\n  workers: {value: 0}\n")

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 3
    assert done.stderr.splitlines()[-1] == "/nowhere/x.yaml: No such file or directory"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param({}, "has no targets.yaml", id="no targets"),
        pytest.param(
            {"targets.yaml": "- {name: api}"}, "targets.yaml: 0.documentFile: Field required", id="half a target"
        ),
        pytest.param({"targets.yaml": "a: ["}, "targets.yaml: not YAML", id="no yaml"),
        pytest.param(
            {"targets.yaml": "- {name: api, documentFile: t.json, stateUrls: ['ftp://x']}"},
            "targets.yaml: 0.stateUrls.0",
            id="an address of another kind",
        ),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_at_once(files: dict[str, str], message: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)

    done = operator("local", str(tmp_path))

    assert done.returncode == 2
    assert done.stderr.startswith("paceline-operator: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert operator("local", str(tmp_path / "x")).returncode == 2


def test_a_setting_that_means_nothing_is_refused_by_name(tmp_path: Path) -> None:
    done = operator("local", str(tmp_path), PACELINE_OPERATOR_MAX_MODE="Full")

    assert done.returncode == 2
    assert "PACELINE_OPERATOR_MAX_MODE" in done.stderr


def test_the_version_is_told() -> None:
    assert operator("--version").stdout.startswith("paceline-operator 0.")
