"""Whose pods are whose, on a real API server: controllers decide, whatever the labels say."""

from typing import Any

import pytest
from envtest import EnvtestServer
from kubernetes_objects import connect, create_deployment, create_pod, owned_by, platform_on, template
from paceline_operator.cluster.kubernetes import KubernetesPlatform
from paceline_operator.ports import TargetRef

pytestmark = pytest.mark.apiserver
DEPLOYMENT = TargetRef("apps/v1", "Deployment", "api")
STATEFUL = TargetRef("apps/v1", "StatefulSet", "api")


async def test_strangers_with_the_labels_of_the_target_are_named_with_their_owner(
    server: EnvtestServer, namespace: str, platform: KubernetesPlatform
) -> None:
    create_deployment(server, namespace)
    create_deployment(server, namespace, "api-canary", app="api")
    sets = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
    canary = owned_by("ReplicaSet", server.get(f"{sets}/api-canary-1"))
    job = [{"apiVersion": "batch/v1", "kind": "Job", "name": "migrate", "uid": "1-2-3", "controller": True}]
    create_pod(server, namespace, "api-1-a", "10.9.0.1")
    create_pod(server, namespace, "api-canary-1-a", "10.9.0.2", owners=canary)
    create_pod(server, namespace, "migrate-a", "10.9.0.3", owners=job)
    create_pod(server, namespace, "shell", "10.9.0.4", owners=[])

    for _ in range(2):
        workload = await platform.workload(namespace, DEPLOYMENT)

        assert [pod.name for pod in workload.pods] == ["api-1-a"]
        assert workload.strangers == {
            "api-canary-1-a": "it belongs to Deployment api-canary",
            "migrate-a": "it belongs to Job migrate",
            "shell": "it has no controller",
        }


async def test_a_replica_set_that_is_gone_or_new_is_looked_at_again(
    server: EnvtestServer, namespace: str, platform: KubernetesPlatform
) -> None:
    create_deployment(server, namespace)
    lost = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api-0", "uid": "4-5-6", "controller": True}]
    create_pod(server, namespace, "api-0-a", "10.9.0.1", owners=lost)
    workload = await platform.workload(namespace, DEPLOYMENT)
    assert workload.strangers == {"api-0-a": "it belongs to ReplicaSet api-0, which is gone"}


def stateful_set(strategy: dict[str, Any], replicas: int = 3) -> dict[str, Any]:
    labels = {"app": "api"}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": template(labels),
        "serviceName": "api",
    }
    return {"metadata": {"name": "api"}, "spec": {**spec, "updateStrategy": strategy}}


@pytest.mark.parametrize(
    ("strategy", "updated", "rolling"),
    [
        pytest.param({"type": "OnDelete"}, 1, False, id="pods are replaced when somebody deletes them"),
        pytest.param({"type": "RollingUpdate"}, 1, True, id="a rollout"),
        pytest.param({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}, 1, False, id="up to the partition"),
        pytest.param({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}, 1, True, id="not there yet"),
    ],
)
async def test_a_stateful_set_owns_its_pods_and_rolls_out_as_it_is_asked_to(
    server: EnvtestServer,
    namespace: str,
    platform: KubernetesPlatform,
    strategy: dict[str, Any],
    updated: int,
    rolling: bool,
) -> None:
    sets = f"/apis/apps/v1/namespaces/{namespace}/statefulsets"
    made = server.create(sets, stateful_set(strategy))
    create_pod(server, namespace, "api-0", "10.9.0.1", owners=owned_by("StatefulSet", made))
    status = {"observedGeneration": 1, "replicas": 3, "updatedReplicas": updated}
    revisions = {"currentRevision": "api-1", "updateRevision": "api-2"}
    server.merge(f"{sets}/api/status", {"status": {**status, **revisions}})

    workload = await platform.workload(namespace, STATEFUL)

    assert ([pod.name for pod in workload.pods], workload.strangers) == (["api-0"], {})
    assert workload.rolling_out is rolling


ROLLOUTS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "rollouts.argoproj.io"},
    "spec": {
        "group": "argoproj.io",
        "scope": "Namespaced",
        "names": {"kind": "Rollout", "plural": "rollouts", "singular": "rollout", "listKind": "RolloutList"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                "subresources": {
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.replicas",
                        "statusReplicasPath": ".status.replicas",
                        "labelSelectorPath": ".status.selector",
                    },
                },
            }
        ],
    },
}


async def test_a_rollout_of_argo_owns_pods_by_way_of_replica_sets(server: EnvtestServer, namespace: str) -> None:
    server.apply("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/rollouts.argoproj.io", ROLLOUTS)
    server.wait_for("/apis/argoproj.io/v1alpha1")
    labels = {"app": "api"}
    rollouts = f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/rollouts"
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "api"}}
    made = server.create(rollouts, {**body, "spec": {"replicas": 1, "template": template(labels)}})
    status = {"replicas": 1, "selector": "app=api", "stableRS": "7f", "currentPodHash": "7f"}
    server.merge(f"{rollouts}/api/status", {"status": status})
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template(labels)}
    owners = owned_by("Rollout", made, "argoproj.io/v1alpha1")
    metadata = {"name": "api-7f", "labels": labels, "ownerReferences": owners}
    sets = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
    replica_set = server.create(sets, {"metadata": metadata, "spec": spec})
    create_pod(server, namespace, "api-7f-a", "10.9.0.1", owners=owned_by("ReplicaSet", replica_set))
    create_pod(server, namespace, "shell", "10.9.0.2", owners=[])

    admin = await connect(server, "admin")
    try:
        platform, target = platform_on(admin), TargetRef("argoproj.io/v1alpha1", "Rollout", "api")
        workload = await platform.workload(namespace, target)
        assert [pod.name for pod in workload.pods] == ["api-7f-a"]
        assert workload.strangers == {"shell": "it has no controller"}
        assert not workload.rolling_out
        server.merge(f"{rollouts}/api/status", {"status": {"currentPodHash": "8a"}})
        assert (await platform.workload(namespace, target)).rolling_out
    finally:
        await admin.close()
