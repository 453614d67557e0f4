"""Copies equal their sources, images and chart set only settings that exist, and every example says something valid."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from paceline.settings import CacheSettings, ServeSettings, TelemetrySettings
from paceline_api.settings import GROUPS
from paceline_operator.settings import OperatorSettings
from pydantic_settings import BaseSettings

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "paceline"
MANIFESTS = ROOT / "k8s" / "manifests"
EXAMPLES = sorted((ROOT / "k8s" / "examples").glob("*.yaml"))
SETTINGS: list[type[BaseSettings]] = [ServeSettings, TelemetrySettings, CacheSettings, OperatorSettings]


def variables() -> set[str]:
    fields = [(each.model_config["env_prefix"], *field) for each in SETTINGS for field in each.model_fields.items()]
    return {str(field.validation_alias or f"{prefix}{name}".upper()) for prefix, name, field in fields}


@pytest.mark.skipif(not shutil.which("helm"), reason="chart: helm not found")
def test_rendered_files_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "render"), "--check"]
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stdout + output.stderr


def test_the_page_beside_the_manifests_creates_every_secret_that_they_name_and_applies_them_all() -> None:
    page = (MANIFESTS / "README.md").read_text()
    names = sorted(path.name for path in MANIFESTS.glob("*.yaml") if path.name != "values.yaml")
    assert sorted(re.findall(r"--filename k8s/manifests/(\S+)", page)) == names
    objects = [item for name in names for item in yaml.safe_load_all((MANIFESTS / name).read_text()) if item]
    created = re.findall(r"create secret generic (\S+) --from-literal=(\w+)=", page)
    assert set(created) == set(secrets_named(objects))
    assert f"kubectl create namespace {objects[-1]['metadata']['namespace']}" in page


def test_the_manifests_sign_tokens_and_send_mails() -> None:
    def secrets(file: str) -> list[tuple[str, str]]:
        return [found for each in yaml.safe_load_all((MANIFESTS / file).read_text()) for found in secrets_named(each)]

    assert ("paceline-auth", "secret") in secrets("service.yaml")
    assert ("paceline-smtp", "url") in secrets("jobs.yaml")


def secrets_named(node: Any) -> Iterator[tuple[str, str]]:
    """Name and key of every `secretKeyRef` below a node."""
    if isinstance(node, dict) and "secretKeyRef" in node:
        yield node["secretKeyRef"]["name"], node["secretKeyRef"]["key"]
    elif isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from secrets_named(child)


def test_the_reference_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "reference"), "--check"]
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stdout + output.stderr


def test_the_check_for_rendered_files_finds_a_stale_copy(tmp_path: Path) -> None:
    for name in ("scripts", "helm", "k8s", "operator/paceline_operator/crd"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "helm/paceline/files/crds/tuningpolicy.yaml").write_text("stale")
    command = [sys.executable, str(tmp_path / "scripts" / "render"), "--check"]
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    assert output.returncode == 1
    assert "helm/paceline/files/crds/tuningpolicy.yaml" in output.stderr
    assert "make render" in output.stderr


@pytest.mark.parametrize("file", [ROOT / "Dockerfile", *CHART.glob("templates/*/_env.tpl")], ids=lambda path: path.name)
def test_images_and_chart_set_only_settings_that_exist(file: Path) -> None:
    assert set(re.findall(r"\bPACELINE_[A-Z_]+", file.read_text())) <= variables()


def test_the_chart_sets_only_settings_of_the_reference_api_that_exist() -> None:
    named = set(re.findall(r"\bAPI_[A-Z_]+", (CHART / "templates/service/_env.tpl").read_text()))
    prefixes = {group: group.model_config["env_prefix"] for group in GROUPS.values()}
    assert named <= {f"{prefix}{name}".upper() for group, prefix in prefixes.items() for name in group.model_fields}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements.lowest.lock"])
def test_the_lock_records_no_address(lock: str) -> None:
    assert "://" not in (ROOT / lock).read_text()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_fits_the_resource(example: Path) -> None:
    for item in yaml.safe_load_all(example.read_text()):
        crd = yaml.safe_load((ROOT / f"operator/paceline_operator/crd/{item['kind'].lower()}.yaml").read_text())
        schema = closed(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])
        # OpenAPI 3.0, which resources are written in, took its keywords from draft 4.
        jsonschema.Draft4Validator(schema).validate(json.loads(json.dumps(item["spec"])))
        assert item["kind"] != "TuningPolicy" or item["spec"]["targetRef"]["name"] == "paceline-service"
    assert example.read_text().startswith("# ")


def closed(schema: Any) -> Any:
    """The schema with unknown fields forbidden, which an API server would only drop."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: closed(item) for name, item in schema.items() if not name.startswith("x-")}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        result["additionalProperties"] = False
    return result
