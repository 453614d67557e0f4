"""The pod contract held against what renders pods: our chart, the page that users copy from, kubectl's own patching."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from foreign import foreign
from paceline_operator.contract.inspected import inspected
from paceline_operator.contract.patch import form_for, patch_between
from paceline_operator.contract.subject import read_subject

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "pod-contract.md"

needs_helm = pytest.mark.skipif(not shutil.which("helm"), reason="chart: helm not found")
needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="patch: kubectl not found")


def lacks(manifest: Any) -> list[str]:
    return [f"{each.clause}: {each.message}" for each in inspected(read_subject(manifest)).findings]


def rendered(*settings: str) -> dict[str, Any]:
    """The service's Deployment of our chart."""
    command = ["helm", "template", "paceline", str(ROOT / "helm" / "paceline"), "--namespace", "shop"]
    command += ["--show-only", "templates/service/deployment.yaml", *settings]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    manifest: dict[str, Any] = yaml.safe_load(output)
    return manifest


@needs_helm
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(("--set", "demo.enabled=true"), id="the-demo"),
        pytest.param(
            ("--set", "service.app=shop.main:app", "--set", "service.gracefulTimeoutSeconds=90"), id="another"
        ),
        pytest.param(("--set", "service.command={python,-m}", "--set", "service.app=shop.main:app"), id="in-a-wrapper"),
    ],
)
def test_our_own_service_lacks_nothing(settings: tuple[str, ...]) -> None:
    assert lacks(rendered(*settings)) == []


def test_the_plain_manifest_lacks_nothing() -> None:
    items = yaml.safe_load_all((ROOT / "k8s" / "manifests" / "service.yaml").read_text())
    (deployment,) = [item for item in items if item and item["kind"] == "Deployment"]
    assert lacks(deployment) == []


def test_the_pod_on_the_page_lacks_nothing() -> None:
    (text,) = [block for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S) if "containers:" in block]
    assert lacks({"kind": "Deployment", "metadata": {"name": "shop"}, **yaml.safe_load(text)}) == []


def test_the_page_tells_of_every_clause() -> None:
    clauses = {each.clause for each in inspected(read_subject(foreign())).findings}
    assert clauses == set(re.findall(r"^\| (\w+) \|", PAGE.read_text(), re.M)) - {"clause"}


@needs_kubectl
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "Rollout"])
def test_kubectl_makes_of_the_patch_what_was_meant(kind: str, tmp_path: Path) -> None:
    manifest = foreign(kind)
    found, form = inspected(read_subject(manifest)), form_for(manifest)
    file = tmp_path / "workload.json"
    file.write_text(json.dumps(manifest))
    patch = yaml.safe_dump(patch_between(manifest, found.mended, form))

    command = ["kubectl", "patch", "--local", "--filename", str(file), "--type", form, "--output", "json"]
    done = subprocess.run([*command, "--patch", patch], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    patched = json.loads(done.stdout)
    assert lacks(patched) == []
    assert {each["name"] for each in patched["spec"]["template"]["spec"]["volumes"]} == {"data", "tuning", "run"}
