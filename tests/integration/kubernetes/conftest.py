"""A real API server for the session, with the CRD and the rights that the chart gives; a namespace for each test."""

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from envtest import EnvtestServer, envtest
from kubernetes_objects import connect, platform_on
from operator_process import until
from paceline_operator.cluster.api_server import ApiServer
from paceline_operator.cluster.kubernetes import KubernetesPlatform

ROOT = Path(__file__).parents[3]
CRDS = sorted((ROOT / "operator" / "paceline_operator" / "crd").glob("*.yaml"))
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvtestServer]:
    """etcd and kube-apiserver. The user `operator` has exactly the chart's cluster role."""
    if "KUBEBUILDER_ASSETS" not in os.environ:
        pytest.skip("apiserver: KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver")
    with envtest(tmp_path_factory.mktemp("envtest")) as running:
        for path in CRDS:
            definition = yaml.safe_load(path.read_text())
            running.apply(
                f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}", definition
            )
        _wait_for_kinds(running, len(CRDS))
        _grant_the_charts_rights(running)
        yield running


def _wait_for_kinds(running: EnvtestServer, kinds: int) -> None:
    """Until the group serves all of them."""
    running.wait_for("/apis/paceline.dev/v1alpha1")
    until(
        lambda: len({one["kind"] for one in running.get("/apis/paceline.dev/v1alpha1")["resources"]}) >= kinds, "them"
    )


def _manifests() -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all((ROOT / "k8s" / "manifests" / "operator.yaml").read_text()) if one]


@pytest.fixture
def charts_rules() -> list[dict[str, Any]]:
    """What the chart lets the operator do; in a namespaced install these are the rules of a Role."""
    role = next(one for one in _manifests() if one["kind"] == "ClusterRole")
    return list(role["rules"])


def _grant_the_charts_rights(running: EnvtestServer) -> None:
    manifests = _manifests()
    for one in manifests:
        if one["kind"].startswith("ValidatingAdmissionPolicy"):
            _narrow(running, one)
    role = next(one for one in manifests if one["kind"] == "ClusterRole")
    role["metadata"] = {"name": "operator"}
    running.create("/apis/rbac.authorization.k8s.io/v1/clusterroles", role)
    running.create(
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        {
            "metadata": {"name": "operator"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "operator"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "operator"}],
        },
    )


def _narrow(running: EnvtestServer, rule: dict[str, Any]) -> None:
    for condition in rule["spec"].get("matchConditions", ()):
        condition["expression"] = "request.userInfo.username == 'operator'"
    plural = "validatingadmissionpolicies" if rule["kind"].endswith("Policy") else f"{rule['kind'].lower()}s"
    running.create(f"/apis/admissionregistration.k8s.io/v1/{plural}", rule)


@pytest.fixture
def namespace(server: EnvtestServer) -> str:
    """A namespace of this test's own; nothing in it is shared, so nothing is cleaned up."""
    name = f"test-{next(_numbers)}"
    server.create("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest_asyncio.fixture
async def api(server: EnvtestServer) -> AsyncIterator[ApiServer]:
    """With no other rights than the chart gives."""
    connected = await connect(server, "operator")
    yield connected
    await connected.close()


@pytest.fixture
def platform(api: ApiServer) -> KubernetesPlatform:
    """What the operator reads and writes through, with those rights."""
    return platform_on(api)
