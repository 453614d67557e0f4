"""ConnectionBudgets on a real API server, with exactly the chart's rights: read, counted, written once a version."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from envtest import EnvtestServer
from kubernetes_objects import connect, create_deployment, platform_on
from paceline_operator.cluster.budgets import KubernetesBudgets
from paceline_operator.core.budget.worst_case import Shape
from paceline_operator.ports import Conflict, PlatformRefused, PolicyKey, TargetRef

pytestmark = pytest.mark.apiserver
TARGET = TargetRef("apps/v1", "Deployment", "api")


@pytest.fixture
async def budgets(server: EnvtestServer, namespace: str) -> AsyncIterator[KubernetesBudgets]:
    api = await connect(server, "operator")
    key = PolicyKey(namespace, "api")
    yield KubernetesBudgets(api, platform_on(api), referring=lambda _: frozenset({key}))
    await api.close()


def create_budget(server: EnvtestServer, namespace: str, **spec: Any) -> None:
    server.create(
        f"/apis/paceline.dev/v1alpha1/namespaces/{namespace}/connectionbudgets",
        {
            "apiVersion": "paceline.dev/v1alpha1",
            "kind": "ConnectionBudget",
            "metadata": {"name": "main"},
            "spec": {"maxConnections": 200, **spec},
        },
    )


async def test_a_budget_is_read_and_its_status_written_once_for_each_version(
    server: EnvtestServer, namespace: str, budgets: KubernetesBudgets
) -> None:
    create_budget(server, namespace)
    found = await budgets.budget(PolicyKey(namespace, "main"))
    assert found is not None
    assert found.spec["maxConnections"] == 200
    status = {
        "connections": 190,
        "worst": 10,
        "members": [{"policy": "shop/api", "perPod": 5, "counted": 2, "generation": 3, "share": 10}],
    }
    await budgets.write_budget(found, status)
    again = await budgets.budget(PolicyKey(namespace, "main"))
    assert again is not None
    assert again.status == status
    with pytest.raises(Conflict):
        await budgets.write_budget(found, {**status, "worst": 20})


async def test_what_is_not_there_is_none_and_a_name_that_is_a_path_leads_nowhere(
    namespace: str, budgets: KubernetesBudgets
) -> None:
    assert await budgets.budget(PolicyKey(namespace, "main")) is None
    assert await budgets.budget(PolicyKey(namespace, "../configmaps/x")) is None
    assert await budgets.budget(PolicyKey("..", "..")) is None


async def test_policies_that_refer_to_it_are_read_anew(
    server: EnvtestServer, namespace: str, budgets: KubernetesBudgets
) -> None:
    assert await budgets.referring(PolicyKey(namespace, "main")) == []
    server.create(
        f"/apis/paceline.dev/v1alpha1/namespaces/{namespace}/tuningpolicies",
        {
            "apiVersion": "paceline.dev/v1alpha1",
            "kind": "TuningPolicy",
            "metadata": {"name": "api"},
            "spec": {"targetRef": {"name": "api"}, "pools": [{"name": "postgres", "budgetRef": {"name": "main"}}]},
        },
    )
    assert [policy.key.name for policy in await budgets.referring(PolicyKey(namespace, "main"))] == ["api"]


async def test_the_autoscaler_of_a_workload_says_how_many_pods_it_may_have(
    server: EnvtestServer, namespace: str, budgets: KubernetesBudgets
) -> None:
    assert await budgets.most_replicas(namespace, TARGET) is None
    for name, target, most in (("api", "api", 7), ("other", "other", 90)):
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
        spec = {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": most}
        server.create(
            f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers",
            {"metadata": {"name": name}, "spec": spec},
        )
    assert await budgets.most_replicas(namespace, TARGET) == 7


async def test_a_deployment_says_how_its_rollouts_go(server: EnvtestServer, namespace: str) -> None:
    create_deployment(server, namespace, replicas=3)
    api = await connect(server, "operator")
    try:
        workload = await platform_on(api).workload(namespace, TARGET)
    finally:
        await api.close()
    assert workload.shape == Shape(3, 0.25, 0.25, 0, 30)


async def test_the_rights_end_there(server: EnvtestServer, namespace: str) -> None:
    create_budget(server, namespace)
    api = await connect(server, "operator")
    path = f"/apis/paceline.dev/v1alpha1/namespaces/{namespace}/connectionbudgets/main"
    hpa = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
    try:
        for forbidden in (
            api.merge(path, {"spec": {"maxConnections": 9}}),
            api.create(hpa, {}),
            api.merge(f"{hpa}/x", {}),
        ):
            with pytest.raises(PlatformRefused, match="add this right"):
                await forbidden
    finally:
        await api.close()
