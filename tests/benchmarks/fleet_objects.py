"""The objects of a simulated fleet, as controllers and kubelet would leave them; there are none."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes_objects import owned_by, template
from paceline_operator.cluster.api_server import ApiServer

from tests.benchmarks.thousand_pods import SPEC

NAMESPACE: Final = "fleet"
AT_ONCE: Final = 16
_APPS: Final = f"/apis/apps/v1/namespaces/{NAMESPACE}"
_PODS: Final = f"/api/v1/namespaces/{NAMESPACE}/pods"
_BYSTANDER_BYTES: Final = 9000


async def create_workloads(kubeconfig: Path, pods: int, policies: int, port: int) -> dict[str, tuple[str, str]]:
    """A Deployment for each policy, pods spread over them; by address the uid and the document of each pod."""
    shares = [pods // policies + (number < pods % policies) for number in range(policies)]
    first = [sum(shares[:number]) for number in range(policies)]
    found: dict[str, tuple[str, str]] = {}
    async with _Server(kubeconfig) as server:

        async def create(number: int) -> None:
            found.update(await _workload(server, number, range(first[number], first[number] + shares[number]), port))

        await _all(create, range(policies))
    return found


async def create_policies(kubeconfig: Path, policies: int, interval: float) -> None:
    """Each pins the workers, so that there is something to carry out at once, and leaves the rest to the tuner."""
    async with _Server(kubeconfig) as server:

        async def create(number: int) -> None:
            spec = {
                **SPEC,
                "targetRef": {"kind": "Deployment", "name": f"api-{number}"},
                "workers": {"value": 3},
                "behavior": {"interval": f"{interval:g}s"},
            }
            await server.create(
                f"/apis/paceline.dev/v1alpha1/namespaces/{NAMESPACE}/tuningpolicies",
                {
                    "apiVersion": "paceline.dev/v1alpha1",
                    "kind": "TuningPolicy",
                    "metadata": {"name": f"api-{number}"},
                    "spec": spec,
                },
            )

        await _all(create, range(policies))


async def create_bystanders(kubeconfig: Path, number: int) -> None:
    """Deployments that nobody tunes, of the size that `kubectl apply` makes them."""
    async with _Server(kubeconfig) as server:

        async def create(one: int) -> None:
            body = _deployment(f"other-{one}", 0, 9090)
            body["metadata"]["annotations"] = {"example.com/applied": "x" * _BYSTANDER_BYTES}
            await server.create(f"{_APPS}/deployments", body)

        await _all(create, range(number))


async def _workload(server: ApiServer, number: int, pods: range, port: int) -> Mapping[str, tuple[str, str]]:
    name = f"api-{number}"
    made = await server.create(f"{_APPS}/deployments", _deployment(name, len(pods), port))
    status = {"observedGeneration": 1, "replicas": len(pods), "updatedReplicas": len(pods)}
    await server.merge(f"{_APPS}/deployments/{name}/status", {"status": status})
    body = _deployment(f"{name}-1", len(pods), port, app=name)
    body["metadata"]["ownerReferences"] = owned_by("Deployment", {"metadata": made["metadata"]})
    owner = await server.create(f"{_APPS}/replicasets", body)
    return {address(pod): (await _pod(server, name, owner, pod, port), f"{name}-tuning") for pod in pods}


async def _pod(server: ApiServer, name: str, owner: Mapping[str, Any], number: int, port: int) -> str:
    body = _template(name, port)
    body["metadata"]["name"] = f"{name}-1-{number}"
    body["metadata"]["ownerReferences"] = owned_by("ReplicaSet", {"metadata": owner["metadata"]})
    uid = (await server.create(_PODS, body))["metadata"]["uid"]
    status = {
        "phase": "Running",
        "podIP": address(number),
        "podIPs": [{"ip": address(number)}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    await server.merge(f"{_PODS}/{name}-1-{number}/status", {"status": status})
    return str(uid)


def address(number: int) -> str:
    """Of a pod, on loopback."""
    return f"127.78.{number // 250}.{1 + number % 250}"


def _deployment(name: str, replicas: int, port: int, app: str | None = None) -> dict[str, Any]:
    labels = {"app": app or name}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": _template(app or name, port)}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


def _template(app: str, port: int) -> dict[str, Any]:
    made = template({"app": app})
    made["spec"]["containers"][0]["ports"][0]["containerPort"] = port
    return made


class _Server:
    """The API server of a kubeconfig, closed at the end."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig

    async def __aenter__(self) -> ApiServer:
        configuration = Configuration()
        await config.load_kube_config(str(self._kubeconfig), client_configuration=configuration)
        self._server = ApiServer(configuration, deadline_seconds=60)
        return self._server

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()


async def _all(create: Callable[[int], Awaitable[None]], numbers: Iterable[int]) -> None:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with places:
            await create(number)

    async with asyncio.TaskGroup() as tasks:
        for number in numbers:
            tasks.create_task(one(number))
