"""Helm's releases on a real API server: one after another, and upgrades of values that others own or changed."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from envtest import EnvtestServer, envtest

ROOT = Path(__file__).parents[3]
CHART = ROOT / "helm" / "paceline"
DEPLOYMENTS = "/apis/apps/v1/namespaces/{}/deployments/{}"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

Helm = Callable[..., str]


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvtestServer]:
    """Without the CRDs, which others of these tests have put on theirs."""
    if "KUBEBUILDER_ASSETS" not in os.environ:
        pytest.skip("apiserver: KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver")
    if not shutil.which("helm"):
        pytest.skip("chart: helm not found")
    with envtest(tmp_path_factory.mktemp("releases")) as running:
        yield running


@pytest.fixture
def helm(own_server: EnvtestServer) -> Iterator[Helm]:
    """Runs helm, which must succeed; what it installed is gone at the end, the CRDs included."""
    environment = {**os.environ, "KUBECONFIG": str(own_server.kubeconfig())}
    installed: set[tuple[str, str]] = set()

    def run(verb: str, release: str, namespace: str, *settings: str) -> str:
        command = ["helm", verb, release, *([str(CHART)] if verb != "uninstall" else []), "--namespace", namespace]
        command += ["--create-namespace"] if verb == "install" else []
        command += [part for setting in settings for part in ("--set", setting)]
        output = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert output.returncode == 0, output.stderr
        (installed.discard if verb == "uninstall" else installed.add)((release, namespace))
        return output.stdout

    yield run
    for release, namespace in sorted(installed):
        run("uninstall", release, namespace)
    for each in own_server.get(CRDS)["items"]:
        own_server.delete(f"{CRDS}/{each['metadata']['name']}")


def crds(server: EnvtestServer) -> set[str]:
    return {each["metadata"]["name"] for each in server.get(CRDS)["items"]}


def deployment(server: EnvtestServer, namespace: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = server.get(DEPLOYMENTS.format(namespace, name))["spec"]
    return found


def environment_of(server: EnvtestServer, namespace: str) -> list[dict[str, Any]]:
    (container,) = deployment(server, namespace, "api-service")["template"]["spec"]["containers"]
    return list(container["env"])


def test_a_release_uses_the_crds_that_an_earlier_one_left(own_server: EnvtestServer, helm: Helm) -> None:
    helm("install", "first", "one", "service.enabled=false")
    left = crds(own_server)
    assert left >= {"tuningpolicies.paceline.dev", "connectionbudgets.paceline.dev"}
    helm("uninstall", "first", "one")
    assert crds(own_server) == left

    told = helm("install", "second", "two", "service.enabled=false")
    assert "belong to another release" in told
    assert "kubectl apply --server-side" in told
    assert "belong to another release" in helm("upgrade", "second", "two", "service.enabled=false")
    helm("uninstall", "second", "two")
    assert crds(own_server) == left

    assert "belong to another release" not in helm("install", "first", "one", "service.enabled=false")


def test_what_a_user_sets_of_a_charts_variable_counts_at_each_upgrade(own_server: EnvtestServer, helm: Helm) -> None:
    def named(*settings: str) -> list[dict[str, Any]]:
        helm("upgrade", "api", "shop", "demo.enabled=true", *settings)
        return [each for each in environment_of(own_server, "shop") if each["name"] == "OTEL_SERVICE_NAME"]

    helm("install", "api", "shop", "demo.enabled=true")
    assert named("service.env.OTEL_SERVICE_NAME=shop") == [{"name": "OTEL_SERVICE_NAME", "value": "shop"}]
    assert named("service.env.OTEL_SERVICE_NAME=till") == [{"name": "OTEL_SERVICE_NAME", "value": "till"}]
    secret = "service.extraEnv[0].valueFrom.secretKeyRef"
    (mine,) = named("service.extraEnv[0].name=OTEL_SERVICE_NAME", f"{secret}.name=names", f"{secret}.key=service")
    assert mine["valueFrom"]["secretKeyRef"] == {"name": "names", "key": "service"}
    assert named() == [{"name": "OTEL_SERVICE_NAME", "value": "api-service"}]


@pytest.mark.parametrize("owned", ["service.replicas=null", "service.autoscaling.enabled=true"])
def test_an_upgrade_leaves_the_number_of_pods_to_whom_it_belongs(
    own_server: EnvtestServer, helm: Helm, owned: str
) -> None:
    def scaled(count: int) -> None:
        own_server.merge(DEPLOYMENTS.format("scaled", "api-service"), {"spec": {"replicas": count}})

    helm("install", "api", "scaled", "demo.enabled=true", "service.replicas=3")
    scaled(7)
    helm("upgrade", "api", "scaled", "demo.enabled=true", owned)
    assert deployment(own_server, "scaled", "api-service")["replicas"] == 7
    for count in (9, 0):
        scaled(count)
        helm("upgrade", "api", "scaled", "demo.enabled=true", owned, f"service.podLabels.round=r{count}")
        assert deployment(own_server, "scaled", "api-service")["replicas"] == count
