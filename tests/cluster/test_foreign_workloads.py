"""Workloads that are not ours are brought under tuning as docs/pod-contract.md says: a Deployment by the patch that
`inspect` prints, a StatefulSet by the Kustomize component under a name prefix."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from images import TAG
from release import ROOT, Release, new_release
from testcluster import Cluster, until

OPERATOR = Path(sys.executable).with_name("paceline-operator")
APPLICATION = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})
"""


@pytest.fixture(scope="module")
def operator_alone(cluster: Cluster) -> Iterator[Release]:
    """A release without our service, and an application of somebody else's."""
    made = new_release(cluster, "any")
    settings = (f"operator.image.tag={TAG}", f"operator.env.PACELINE_OPERATOR_NAMESPACES={made.namespace}")
    made.install(*settings, "service.enabled=false")
    source = {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "shop-source"},
        "data": {"shop.py": APPLICATION},
    }
    cluster.apply(made.namespace, source)
    yield made
    made.uninstall()
    cluster.kubectl("delete", "namespace", made.namespace, "--wait=false")


def workload(kind: str, name: str) -> dict[str, Any]:
    """As its owner has it: served by Paceline, and nothing else of the contract."""
    labels = {"app": name}
    container = {
        "name": "app",
        "image": f"paceline-service:{TAG}",
        "imagePullPolicy": "IfNotPresent",
        "args": ["paceline", "serve", "--bind", "0.0.0.0:8000", "--app-dir", "/source", "shop:app"],
        "ports": [{"name": "http", "containerPort": 8000}],
        "volumeMounts": [{"name": "source", "mountPath": "/source"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    volumes = [{"name": "source", "configMap": {"name": "shop-source"}}]
    pod = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "volumes": volumes, "securityContext": security},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
    spec |= {"serviceName": name} if kind == "StatefulSet" else {}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def inspect(release: Release, what: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(OPERATOR), "inspect", what, "--namespace", release.namespace, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=os.environ)


def tuned(release: Release, kind: str, name: str, *, app: str | None = None) -> None:
    """Two workers, and the policy knows that every pod has them."""
    spec = {"targetRef": {"apiVersion": "apps/v1", "kind": kind, "name": name}, "mode": "Auto", "workers": {"value": 2}}
    policy = {"apiVersion": "paceline.dev/v1alpha1", "kind": "TuningPolicy", "metadata": {"name": name}, "spec": spec}
    release.cluster.apply(release.namespace, policy)
    until(
        lambda: release.condition("Converged", name) == ("True", "AllPodsApplied"),
        90,
        f"{name} is tuned: {release.kubectl('get', 'tuningpolicies', '--output=wide')}",
    )
    (pod,) = json.loads(release.kubectl("get", "pods", f"--selector=app={app or name}", "--output=json"))["items"]
    state = release.state(pod["metadata"]["name"])
    assert state is not None
    assert state["values"]["workers"] == 2


def test_a_deployment_is_tuned_after_the_patch_that_inspect_prints(operator_alone: Release, tmp_path: Path) -> None:
    release = operator_alone
    release.cluster.apply(release.namespace, workload("Deployment", "shop"))
    found = inspect(release, "deploy/shop")
    assert found.returncode == 1
    assert "needed  port " in found.stdout, found

    (tmp_path / "patch.yaml").write_text(inspect(release, "deploy/shop", "--output", "patch").stdout)
    release.kubectl("patch", "deployment", "shop", "--type=strategic", f"--patch-file={tmp_path / 'patch.yaml'}")
    release.kubectl("rollout", "status", "deployment/shop", "--timeout=120s")
    until(lambda: release.kubectl("get", "pods", "--selector=app=shop", "--output=name").count("pod/") == 1, 90, "one")

    silent = inspect(release, "deploy/shop")
    assert (silent.returncode, silent.stdout) == (0, ""), silent
    tuned(release, "Deployment", "shop")


def test_a_stateful_set_is_tuned_with_the_component(operator_alone: Release) -> None:
    release = operator_alone
    folder = ROOT / "build" / "foreign"  # Kustomize takes components by relative paths only
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shop.yaml").write_text(yaml.safe_dump(workload("StatefulSet", "basket")))
    (folder / "kustomization.yaml").write_text(
        "resources: [shop.yaml]\ncomponents: [../../k8s/component/statefulset]\nnamePrefix: blue-\n"
    )
    release.kubectl("apply", "--kustomize", str(folder))
    release.kubectl("rollout", "status", "statefulset/blue-basket", "--timeout=120s")

    silent = inspect(release, "sts/blue-basket")
    assert (silent.returncode, silent.stdout) == (0, ""), silent
    tuned(release, "StatefulSet", "blue-basket", app="basket")
