"""The chart with whatever values it is given: an older release's, a user's own, a parent chart's, the longest names."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "paceline"
DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
GIVEN = {
    "demo": {"enabled": True, "password": "development"},
    "service": {"jobs": {"enabled": True}},
    "metrics": {"podMonitor": True, "rules": True, "dashboard": True},
    "networkPolicy": {"enabled": True},
}
LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
LISTS = {"env": "name", "volumes": "name", "volumeMounts": "mountPath"}

pytestmark = pytest.mark.skipif(not shutil.which("helm"), reason="chart: helm not found")

Objects = dict[tuple[str, str], dict[str, Any]]


def render(chart: Path, values: dict[str, Any], folder: Path, release: str = "paceline") -> Objects:
    file = folder / "given.yaml"
    file.write_text(yaml.safe_dump(values))
    command = ["helm", "template", release, str(chart), "--namespace", "shop", "--values", str(file)]
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stderr
    objects = [item for item in yaml.safe_load_all(output.stdout) if item]
    return {(item["kind"], item["metadata"]["name"]): item for item in objects}


def with_values(folder: Path, defaults: dict[str, Any]) -> Path:
    """A copy of the chart whose values.yaml is another: what `--reuse-values` makes of an older release."""
    chart = folder / "chart"
    shutil.copytree(CHART, chart)
    (chart / "values.yaml").write_text(yaml.safe_dump(defaults))
    return chart


def keeping(values: dict[str, Any], depth: int) -> dict[str, Any]:
    """Only what null may remove, and sections down to a depth: all that a release from before anything else has."""
    mine = {name: value for name, value in values.items() if name in ("replicas", "resources")}
    below = {name: keeping(value, depth - 1) for name, value in values.items() if isinstance(value, dict) and depth}
    return {**below, **mine}


@pytest.mark.parametrize("top", [None, *sorted(DEFAULTS)])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_what_an_older_chart_did_not_have_is_taken_from_this_one(top: str | None, depth: int, tmp_path: Path) -> None:
    wanted = DEFAULTS if top is None else {top: DEFAULTS[top]}
    older = {**DEFAULTS, **{name: keeping(value, depth) for name, value in wanted.items()}}
    older["service"] = {**older["service"], "jobs": {**DEFAULTS["service"]["jobs"], **older["service"].get("jobs", {})}}

    assert render(with_values(tmp_path, older), GIVEN, tmp_path) == render(CHART, GIVEN, tmp_path)


def test_what_is_removed_by_null_stays_removed(tmp_path: Path) -> None:
    resources = {"limits": {"cpu": None}}
    service = {"replicas": None, "resources": resources, "jobs": {"enabled": True, "replicas": None}}
    objects = render(CHART, {**GIVEN, "service": service}, tmp_path)

    pod = objects["Deployment", "paceline-service"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "1Gi"}
    for name in ("paceline-service", "paceline-jobs"):
        assert "replicas" not in objects["Deployment", name]["spec"], name


def test_there_is_one_entry_for_each_name_and_it_is_the_users(tmp_path: Path) -> None:
    mine = {"name": "OTEL_SERVICE_NAME", "valueFrom": {"secretKeyRef": {"name": "names", "key": "service"}}}
    service = {
        "env": {"PACELINE_TRACE_RATIO": "1", "DATABASE_URL": "postgresql://mine", "OTEL_SERVICE_NAME": "shop"},
        "extraEnv": [mine, {"name": "API_MAIL_SMTP_URL", "value": "smtp://mine"}],
        "extraVolumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}],
        "extraVolumeMounts": [{"name": "tmp", "mountPath": "/tmp", "subPath": "mine"}],
        "jobs": {"enabled": True},
    }
    operator = {"env": {"OTEL_SERVICE_NAME": "tuner", "PACELINE_OPERATOR_MAX_MODE": "Recommend"}}
    objects = render(CHART, {**GIVEN, "service": service, "operator": operator}, tmp_path)

    for (kind, name), each in objects.items():
        if kind == "Deployment":
            pod = each["spec"]["template"]["spec"]
            for holder in (pod, *pod["containers"], *pod.get("initContainers", ())):
                for field, key in LISTS.items():
                    names = [entry[key] for entry in holder.get(field, ())]
                    assert len(names) == len(set(names)), (name, field, names)
    pod = objects["Deployment", "paceline-service"]["spec"]["template"]["spec"]
    environment = {entry["name"]: entry for entry in pod["containers"][0]["env"]}
    assert environment["OTEL_SERVICE_NAME"] == mine
    assert environment["PACELINE_TRACE_RATIO"]["value"] == "1"
    assert environment["DATABASE_URL"] == {"name": "DATABASE_URL", "value": "postgresql://mine"}
    assert {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}} in pod["volumes"]
    assert service["extraVolumeMounts"][0] in pod["containers"][0]["volumeMounts"]
    (jobs,) = objects["Deployment", "paceline-jobs"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "API_MAIL_SMTP_URL", "value": "smtp://mine"} in jobs["env"]
    (tuner,) = objects["Deployment", "paceline-operator"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "OTEL_SERVICE_NAME", "value": "tuner"} in tuner["env"]


def texts_of(item: Any) -> Iterator[tuple[str, str]]:
    """Names of objects, and values of labels, wherever they stand."""
    if isinstance(item, dict):
        for key, value in item.items():
            if key in ("labels", "matchLabels"):
                yield from (("label", each) for each in value.values())
            yield from texts_of(value)
    elif isinstance(item, list):
        for each in item:
            yield from texts_of(each)


@pytest.mark.parametrize("release", ["a" * 53, "x" * 30 + "-" + "y" * 22, "p"])
def test_no_name_is_too_long_and_every_label_is_one(release: str, tmp_path: Path) -> None:
    chart = with_values(tmp_path, DEFAULTS)
    described = (chart / "Chart.yaml").read_text()
    (chart / "Chart.yaml").write_text(described.replace("ersion: 0.1.0\n", f"ersion: 0.1.0+{'3f2a91c' * 9}\n"))
    objects = render(chart, GIVEN, tmp_path, release)

    for kind, name in objects:
        assert len(name) <= (63 if kind in ("Service", "Deployment") else 253), (kind, name)
    labels = {value for item in objects.values() for _, value in texts_of(item)}
    assert not [value for value in labels if len(value) > 63 or not LABEL.fullmatch(value)]
    assert len({name for kind, name in objects if kind == "Service"}) == 5, "none the same"


def test_a_parent_chart_switches_it_and_names_it(tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    shutil.copytree(CHART, parent / "charts" / "paceline")
    dependency = {"name": "paceline", "version": "0.1.0", "alias": "tuner", "condition": "tuner.enabled"}
    described = {"apiVersion": "v2", "name": "shop", "version": "1.0.0", "dependencies": [dependency]}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(described))
    given = {**GIVEN, "enabled": True, "service": {"replicas": 3, "jobs": {"enabled": True}}}

    objects = render(parent, {"global": {"region": "north"}, "tags": {"all": True}, "tuner": given}, tmp_path)
    none = render(parent, {"tuner": {**given, "enabled": False}}, tmp_path)

    assert objects["Deployment", "paceline-service"]["spec"]["replicas"] == 3
    assert none == {}
