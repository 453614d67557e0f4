"""Objects on a real API server as controllers and kubelet would leave them, and the platform that reads them."""

from datetime import UTC, datetime
from typing import Any

from envtest import EnvtestServer
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from paceline_operator.cluster.api_server import ApiServer
from paceline_operator.cluster.kubernetes import KubernetesPlatform
from paceline_operator.ports import PolicyKey


async def connect(server: EnvtestServer, user: str) -> ApiServer:
    configuration = Configuration()
    await config.load_kube_config(str(server.kubeconfig(user)), client_configuration=configuration)
    return ApiServer(configuration, deadline_seconds=10)


def platform_on(api: ApiServer, *seen: PolicyKey, nudging: bool = True) -> KubernetesPlatform:
    """`seen`: the policies that a watch would have told it of."""
    return KubernetesPlatform(
        api,
        policies_of=lambda namespace, target: frozenset(seen),
        nudging=nudging,
        now=lambda: datetime.now(UTC),
        reporter="test",
    )


def template(labels: dict[str, str]) -> dict[str, Any]:
    container = {"name": "api", "image": "api:1", "ports": [{"name": "paceline", "containerPort": 9090}]}
    return {"metadata": {"labels": labels}, "spec": {"containers": [container]}}


def owned_by(kind: str, item: dict[str, Any], api_version: str = "apps/v1") -> list[dict[str, Any]]:
    metadata = item["metadata"]
    return [
        {
            "apiVersion": api_version,
            "kind": kind,
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
        }
    ]


def create_deployment(
    server: EnvtestServer, namespace: str, name: str = "api", replicas: int = 2, app: str | None = None
) -> None:
    """With its ReplicaSet, NAME-1: there is no controller here."""
    labels = {"app": app or name}
    apps = f"/apis/apps/v1/namespaces/{namespace}"
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template(labels)}
    made = server.create(f"{apps}/deployments", {"metadata": {"name": name}, "spec": spec})
    metadata = {"name": f"{name}-1", "labels": labels, "ownerReferences": owned_by("Deployment", made)}
    server.create(f"{apps}/replicasets", {"metadata": metadata, "spec": spec})


def create_pod(
    server: EnvtestServer,
    namespace: str,
    name: str,
    address: str,
    app: str = "api",
    owners: list[dict[str, Any]] | None = None,
) -> str:
    """A pod as kubelet would report it; there is no kubelet here. It belongs to ReplicaSet api-1 where there is one."""
    pods = f"/api/v1/namespaces/{namespace}/pods"
    body = template({"app": app})
    body["metadata"]["name"] = name
    if owners is None:
        sets = server.get(f"/apis/apps/v1/namespaces/{namespace}/replicasets")["items"]
        owners = [
            owner for each in sets if each["metadata"]["name"] == "api-1" for owner in owned_by("ReplicaSet", each)
        ]
    body["metadata"]["ownerReferences"] = owners
    uid = server.create(pods, body)["metadata"]["uid"]
    status = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [
            {"name": "api", "restartCount": 3, "image": "api:1", "imageID": "", "ready": True,
             "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137,
                                          "finishedAt": "2026-01-01T12:00:00Z"}}}
        ],
    }  # fmt: skip
    server.merge(f"{pods}/{name}/status", {"status": status})
    return str(uid)
