"""What the chart makes for Prometheus, Grafana and browsers: nothing unasked, and the files as they stand."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "helm" / "paceline"
FILES = CHART / "files" / "observability"
MONITORS = ("PodMonitor", "PrometheusRule")

pytestmark = pytest.mark.skipif(not shutil.which("helm"), reason="chart: helm not found")


def rendered(*settings: str) -> dict[str, list[dict[str, Any]]]:
    """Objects by kind."""
    command = [
        "helm",
        "template",
        "paceline",
        str(CHART),
        "--set=demo.enabled=true",
        *(f"--set={each}" for each in settings),
    ]
    found: dict[str, list[dict[str, Any]]] = {}
    for item in yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout):
        if item:
            found.setdefault(item["kind"], []).append(item)
    return found


def test_the_rules_are_those_of_the_file_and_link_to_the_users_runbooks() -> None:
    monitoring = ("metrics.rules=true", "metrics.podMonitor=true", "metrics.labels.release=mine")
    objects = rendered(*monitoring, "metrics.runbooks=https://wiki/")
    (rule,) = objects["PrometheusRule"]
    assert rule["spec"] == yaml.safe_load((FILES / "rules.yaml").read_text().replace("docs/runbooks/", "https://wiki/"))
    assert "https://wiki/PacelineOperatorAbsent.md" in str(rule["spec"])
    labels = [item["metadata"]["labels"] for kind in MONITORS for item in objects[kind]]
    assert [each.get("release") for each in labels] == ["mine"] * 3


def test_the_dashboard_is_the_file_and_grafana_finds_it() -> None:
    (dashboard,) = rendered("metrics.dashboard=true")["ConfigMap"]
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(dashboard["data"]["paceline.json"]) == json.loads((FILES / "dashboard.json").read_text())


def test_nothing_of_it_is_there_unasked() -> None:
    assert not rendered().keys() & {*MONITORS, "ConfigMap"}


def test_the_console_is_off_unless_asked_for_and_then_on_loopback() -> None:
    def environment(*settings: str) -> dict[str, str]:
        (operator,) = (each for each in rendered(*settings)["Deployment"] if "operator" in each["metadata"]["name"])
        (container,) = operator["spec"]["template"]["spec"]["containers"]
        return {entry["name"]: entry["value"] for entry in container["env"] if "CONSOLE" in entry["name"]}

    assert environment() == {}
    assert environment("console.enabled=true", "console.jaegerUrl=http://localhost:16686") == {
        "PACELINE_OPERATOR_CONSOLE_BIND": "127.0.0.1:8082",
        "PACELINE_OPERATOR_CONSOLE_JAEGER_URL": "http://localhost:16686",
    }
    plain, asked = rendered(), rendered("console.enabled=true")
    same = plain.keys() - {"Deployment", "Secret"}  # the demo draws passwords each time
    assert {kind: asked[kind] for kind in same} == {kind: plain[kind] for kind in same}, "no Service and no right"
