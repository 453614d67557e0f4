"""The chart's admission policies on a real API server: what RBAC cannot narrow, they do."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from envtest import EnvtestServer, RefusedError
from kubernetes_objects import create_deployment, create_pod

pytestmark = [pytest.mark.apiserver, pytest.mark.invariant]
NUDGE = {"paceline.dev/tuning-generation": "17"}


@pytest.fixture(scope="module", autouse=True)
def in_force(server: EnvtestServer) -> None:
    """Rules take a moment after they were created."""
    server.create("/api/v1/namespaces", {"metadata": {"name": "in-force"}})
    create_pod(server, "in-force", "api-0", "10.9.0.1", owners=[])
    # A try run each: what got through once would be no change the next time.
    pod = "/api/v1/namespaces/in-force/pods/api-0/status?dryRun=All"
    label, merge = {"metadata": {"labels": {"seen": "no"}}}, "application/merge-patch+json"
    until_refused(lambda: server.request("PATCH", pod, label, content_type=merge, user="operator"))
    path = "/api/v1/namespaces/in-force/configmaps?dryRun=All"
    until_refused(lambda: server.request("POST", path, config_map("x"), user="operator"))


def until_refused(request: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            request()
        except RefusedError:
            return
        time.sleep(0.1)
    pytest.fail("the admission policies never came into force")


def config_map(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "paceline", **labels}}}


def patch(server: EnvtestServer, namespace: str, body: dict[str, Any]) -> Any:
    path = f"/api/v1/namespaces/{namespace}/pods/api-0/status"
    return server.request("PATCH", path, body, content_type="application/merge-patch+json", user="operator")


@pytest.fixture
def pod(server: EnvtestServer, namespace: str) -> dict[str, Any]:
    create_deployment(server, namespace)
    create_pod(server, namespace, "api-0", "10.9.0.1")
    path = f"/api/v1/namespaces/{namespace}/pods/api-0"
    server.merge(path, {"metadata": {"annotations": {"team": "shop"}, "finalizers": ["example.com/a"]}})
    found: dict[str, Any] = server.get(path)
    return found


def test_the_one_annotation_may_be_set_and_set_again(
    server: EnvtestServer, namespace: str, pod: dict[str, Any]
) -> None:
    for generation in ("17", "18"):
        patch(server, namespace, {"metadata": {"annotations": {"paceline.dev/tuning-generation": generation}}})
    after = server.get(f"/api/v1/namespaces/{namespace}/pods/api-0")
    assert after["metadata"]["annotations"] == {"team": "shop", "paceline.dev/tuning-generation": "18"}
    assert (after["status"], after["spec"]) == (pod["status"], pod["spec"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param({"status": {"podIP": "10.9.9.9"}}, "changes no pod's status", id="address"),
        pytest.param({"status": {"phase": "Failed"}}, "changes no pod's status", id="phase"),
        pytest.param(
            {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}, "changes no pod's status", id="ready"
        ),
        pytest.param({"status": {"phase": "Failed"}, "metadata": {"annotations": NUDGE}}, "status", id="with a nudge"),
        pytest.param({"metadata": {"labels": {"app": "other"}}}, "no label", id="another Service's pod"),
        pytest.param({"metadata": {"finalizers": None}}, "no label, finalizer", id="finalizers"),
        pytest.param({"metadata": {"annotations": {"team": None}}}, "one annotation", id="an annotation less"),
        pytest.param({"metadata": {"annotations": {"team": "x"}}}, "one annotation", id="another annotation"),
        pytest.param({"metadata": {"annotations": {"a": "b"}}}, "one annotation", id="an annotation more"),
        pytest.param(
            {"metadata": {"annotations": {"paceline.dev/tuning-generation": "x"}}}, "is a number", id="no number"
        ),
    ],
)
def test_nothing_else_of_a_pod_may_be_written(
    server: EnvtestServer, namespace: str, pod: dict[str, Any], body: dict[str, Any], message: str
) -> None:
    with pytest.raises(RefusedError, match=message):
        patch(server, namespace, body)
    assert server.get(f"/api/v1/namespaces/{namespace}/pods/api-0")["status"] == pod["status"]


def test_only_tuning_documents_of_its_own_are_written(server: EnvtestServer, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    server.request("POST", path, config_map("api-tuning"), user="operator")
    server.request("PUT", f"{path}/api-tuning", config_map("api-tuning", a="b"), user="operator")
    with pytest.raises(RefusedError, match="writes tuning documents only"):
        server.request("POST", path, config_map("other"), user="operator")
    server.create(path, {"metadata": {"name": "guitar-tuning"}, "data": {"guitar": "EADGBE"}})
    with pytest.raises(RefusedError, match="not a tuning document"):
        server.request("PUT", f"{path}/guitar-tuning", config_map("guitar-tuning"), user="operator")


def test_only_its_own_lease_is_written(server: EnvtestServer, namespace: str) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    server.request("POST", path, {"metadata": {"name": "paceline-operator"}}, user="operator")
    with pytest.raises(RefusedError, match="Leases named paceline-operator only"):
        server.request("POST", path, {"metadata": {"name": "kube-scheduler"}}, user="operator")
