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


def block(words: str) -> str:
    """The YAML on the page that has these words."""
    (found,) = [each for each in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S) if words in each]
    return str(found)


def test_the_pod_on_the_page_lacks_nothing() -> None:
    assert lacks({"kind": "Deployment", "metadata": {"name": "shop"}, **yaml.safe_load(block("- name: app"))}) == []


def test_the_page_tells_of_every_clause() -> None:
    clauses = {each.clause for each in inspected(read_subject(foreign())).findings}
    assert clauses == set(re.findall(r"^\| (\w+) \|", PAGE.read_text(), re.M)) - {"clause"}


CONTAINER = """
{{- define "shop.fullname" -}}{{ .Release.Name }}{{- end -}}
{{- define "shop.container" -}}
name: app
image: shop:1
args: [paceline, serve, "-b", ":8000", "shop:app"]
env: [{name: PACELINE_RUN_DIR, value: /run/paceline/mine}, {name: DATABASE_URL, value: x}]
ports: [{name: http, containerPort: 8000}]
readinessProbe: {httpGet: {path: /readyz, port: 9090}, periodSeconds: 9}
{{- end }}
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: {{ include "shop.fullname" . }}}
"""


def with_our_library(folder: Path, template: str) -> dict[str, Any]:
    """What a chart makes of a template that uses it."""
    dependency = "dependencies: [{name: paceline-pod, version: 0.1.0, repository: ''}]"
    (folder / "Chart.yaml").write_text(f"apiVersion: v2\nname: shop\nversion: 1.0.0\n{dependency}\n")
    (folder / "templates").mkdir()
    (folder / "templates" / "shop.yaml").write_text(template)
    shutil.copytree(ROOT / "helm" / "paceline" / "charts" / "paceline-pod", folder / "charts" / "paceline-pod")
    command = ["helm", "template", "shop", str(folder)]
    manifest: dict[str, Any] = yaml.safe_load(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    return manifest


@needs_helm
def test_a_foreign_chart_lacks_nothing_with_our_library(tmp_path: Path) -> None:
    template = CONTAINER + block("paceline.container")
    manifest = with_our_library(tmp_path, template.replace('Seconds" 5', 'Seconds" 0'))

    assert lacks(manifest) == []
    pod = manifest["spec"]["template"]["spec"]
    (app,) = pod["containers"]
    assert pod["terminationGracePeriodSeconds"] == 0 + 30 + 20
    values = {each["name"]: each.get("value") for each in app["env"]}
    assert (values["PACELINE_TERMINATION_DELAY_SECONDS"], values["PACELINE_GRACEFUL_TIMEOUT_SECONDS"]) == ("0", "30")
    assert (values["PACELINE_RUN_DIR"], values["DATABASE_URL"]) == ("/run/paceline/mine", "x")
    assert app["readinessProbe"]["periodSeconds"] == 9
    assert len(values) == len(app["env"])


@needs_helm
def test_our_library_leaves_a_chart_s_own_probes_and_ports_as_they_are(tmp_path: Path) -> None:
    template = CONTAINER + block("paceline.container")
    template = template.replace("[{name: http, containerPort: 8000}]", "[{containerPort: 8000}, {containerPort: 8443}]")
    template = template.replace("{httpGet: {path: /readyz, port: 9090}, periodSeconds: 9}", "{exec: {command: [ask]}}")
    template = template.replace('"terminationDelaySeconds" 5', '"terminationDelaySeconds" .Values.none')
    pod = with_our_library(tmp_path, template)["spec"]["template"]["spec"]

    (app,) = pod["containers"]
    assert app["readinessProbe"] == {"exec": {"command": ["ask"]}}
    assert app["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert [each["containerPort"] for each in app["ports"]] == [9090, 8000, 8443]
    assert pod["terminationGracePeriodSeconds"] == 5 + 30 + 20
    assert {"name": "PACELINE_TERMINATION_DELAY_SECONDS", "value": "5"} in app["env"]


def kustomized(folder: Path, **kustomizations: dict[str, Any]) -> list[dict[str, Any]]:
    """What `kubectl kustomize` makes of the last one."""
    for name, content in kustomizations.items():
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "kustomization.yaml").write_text(yaml.safe_dump(content))
    done = subprocess.run(["kubectl", "kustomize", str(folder / name)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@needs_kubectl
def test_the_component_makes_any_kind_whole_and_follows_prefixes_and_namespaces(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "k8s" / "component", tmp_path / "component")
    parts = {}
    for kind in ("Deployment", "StatefulSet", "Rollout"):
        manifest = foreign(kind, command=["paceline", "serve", "-b", ":8080", "a:b"])
        pod = manifest["spec"]["template"]["spec"]
        pod["containers"].reverse()  # the component goes by the first
        manifest["metadata"] = {"name": f"shop-{kind.lower()}"}
        folder = tmp_path / kind.lower()
        folder.mkdir()
        (folder / "workload.yaml").write_text(yaml.safe_dump(manifest))
        components = [f"../component/{kind.lower()}"]
        parts[kind.lower()] = {"resources": ["workload.yaml"], "components": components, "namePrefix": "a-"}

    items = kustomized(
        tmp_path,
        **parts,
        overlay={"resources": [f"../{name}" for name in parts], "namePrefix": "dev-", "namespace": "store"},
    )

    names = sorted(item["metadata"]["name"] for item in items)
    assert names == ["dev-a-shop-deployment", "dev-a-shop-rollout", "dev-a-shop-statefulset"]
    for item in items:
        assert item["metadata"]["namespace"] == "store"
        assert lacks(item) == []
        app = item["spec"]["template"]["spec"]["containers"][0]
        assert {"name": "DATABASE_URL", "value": "postgresql://db/shop"} in app["env"]
        assert {"name": "PACELINE_TERMINATION_DELAY_SECONDS", "value": "5"} in app["env"]  # a text, not a number


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
