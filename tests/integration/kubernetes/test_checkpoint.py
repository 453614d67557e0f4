"""What is learnt of a policy, on a real API server with the chart's rights: who owns it, how often it is written."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from envtest import EnvtestServer, RefusedError
from kubernetes_objects import create_deployment, create_pod
from modelled_fleet import ModelledFleet, Service, start_values
from paceline_operator.cluster.kubernetes import KubernetesPlatform
from paceline_operator.core.measure.pods import PodState
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.ports import Pod, PolicyKey, Trouble
from paceline_operator.settings import OperatorSettings

pytestmark = pytest.mark.apiserver
GROUP = "/apis/paceline.dev/v1alpha1/namespaces/{}"
SPEC = {
    "targetRef": {"name": "api"},
    "mode": "Auto",
    "objective": {"p95": "45ms"},
    "workers": {"min": 1, "max": 8},
    "pools": [{"name": "postgres", "min": 1, "max": 20}],
    "behavior": {"interval": "60s", "minSamples": 200, "canary": {"pods": 0}},
}


class Cluster:
    """A policy and its target on the API server; the pods' reports are modelled, and so is time."""

    def __init__(self, server: EnvtestServer, namespace: str, platform: KubernetesPlatform) -> None:
        self._server, self._namespace = server, namespace
        self.platform: Any = platform
        create_deployment(server, namespace)
        status = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2}
        server.merge(f"/apis/apps/v1/namespaces/{namespace}/deployments/api/status", {"status": status})
        self.fleet = ModelledFleet(SPEC, service=Service(requests_per_second=50), start=start_values(1, 2))
        self.fleet.now += timedelta(days=1)  # the pods have restarted before that
        for number, pod in enumerate(self.fleet.pods):
            pod.uid = create_pod(server, namespace, f"api-1-{number}", f"10.9.0.{number + 1}")
        body = {"apiVersion": "paceline.dev/v1alpha1", "kind": "TuningPolicy", "metadata": {"name": "api"}}
        server.create(f"{GROUP.format(namespace)}/tuningpolicies", {**body, "spec": SPEC})

    def operator(self) -> Reconciler:
        """A fresh process."""
        settings = OperatorSettings(ack_wait_seconds=0.01, ack_poll_seconds=0.01)
        return Reconciler(self.platform, self, now=lambda: self.fleet.now, settings=settings)

    async def run(self, operator: Reconciler, **time: float) -> None:
        until = self.fleet.now + timedelta(**time)
        while self.fleet.now < until:
            wait = await operator.reconcile(PolicyKey(self._namespace, "api"))
            self.fleet.pass_time(max(wait.total_seconds(), 0.05))

    @property
    def policy(self) -> Any:
        return self._server.get(f"{GROUP.format(self._namespace)}/tuningpolicies/api")

    @property
    def checkpoint(self) -> Any:
        return self._server.get(f"{GROUP.format(self._namespace)}/tuningcheckpoints/api")

    async def scrape(self, pods: Sequence[Pod]) -> Mapping[str, PodState | Trouble]:
        self._deliver()
        return await self.fleet.scrape(pods)

    async def acks(self, pods: Sequence[Pod]) -> Mapping[str, int]:
        self._deliver()
        return await self.fleet.acks(pods)

    def _deliver(self) -> None:
        """As kubelet would."""
        try:
            stored = self._server.get(f"/api/v1/namespaces/{self._namespace}/configmaps/api-tuning")
        except RefusedError:
            return
        self.fleet.content = stored["data"]["tuning.json"].encode()


@pytest.fixture
def cluster(server: EnvtestServer, namespace: str, platform: KubernetesPlatform) -> Cluster:
    return Cluster(server, namespace, platform)


async def test_a_calm_policy_costs_twelve_status_writes_an_hour(server: EnvtestServer, cluster: Cluster) -> None:
    operator = cluster.operator()
    await cluster.run(operator, minutes=20)

    def writes() -> tuple[int, int]:
        checkpoints = ("POST", "PUT")
        return (
            server.requests_served("PUT", "tuningpolicies", "status"),
            sum(server.requests_served(verb, "tuningcheckpoints") for verb in checkpoints),
        )

    before = writes()
    await cluster.run(operator, hours=1)
    statuses, checkpoints = (after - earlier for after, earlier in zip(writes(), before, strict=True))

    assert 6 <= statuses <= 15
    assert 6 <= checkpoints <= 12
    assert cluster.checkpoint["holds"][-1]["count"] > 30


async def test_the_policy_owns_it_and_says_nothing_of_it(cluster: Cluster) -> None:
    await cluster.run(cluster.operator(), minutes=3)

    policy = cluster.policy
    (owner,) = cluster.checkpoint["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("TuningPolicy", "api", policy["metadata"]["uid"])
    assert cluster.checkpoint["memory"]["version"] == 1
    assert "tuner" not in policy["status"]
    assert all(entry.get("values") for entry in policy["status"].get("decisions", ()))


async def test_a_restarted_operator_goes_on_from_it(cluster: Cluster) -> None:
    await cluster.run(cluster.operator(), minutes=12)
    before = cluster.checkpoint["memory"]
    await cluster.run(cluster.operator(), minutes=7)

    after = cluster.checkpoint["memory"]
    assert after["noise"]["windows"] > before["noise"]["windows"] > 0


async def test_what_a_policy_of_the_same_name_has_left_is_replaced(server: EnvtestServer, cluster: Cluster) -> None:
    await cluster.run(cluster.operator(), minutes=12)
    old = cluster.checkpoint["memory"]
    path = cluster.policy["metadata"]
    policies = f"{GROUP.format(path['namespace'])}/tuningpolicies"
    server.delete(f"{policies}/api")
    body = {"apiVersion": "paceline.dev/v1alpha1", "kind": "TuningPolicy", "metadata": {"name": "api"}}
    server.create(policies, {**body, "spec": SPEC})

    await cluster.run(cluster.operator(), minutes=3)

    (owner,) = cluster.checkpoint["metadata"]["ownerReferences"]
    assert owner["uid"] == cluster.policy["metadata"]["uid"] != path["uid"]
    assert cluster.checkpoint["memory"]["noise"]["windows"] < old["noise"]["windows"]


async def test_the_memory_of_an_earlier_version_moves_out_of_the_status(
    server: EnvtestServer, cluster: Cluster
) -> None:
    values = {"workers": 4, "pools": {}, "caches": {}}
    rejected = [{"values": values, "until": "2030-01-01T00:00:00.000Z"}]
    hold = {"time": "2026-01-01T00:00:00.000Z", "reason": "NoTraffic", "message": "idle", "count": 3}
    change = {"changes": [{"tunable": "workers", "new": 2}], "values": values}
    recommended = {**hold, **change, "reason": "LoopLagHigh", "recommended": True}
    status = {"tuner": {"version": 1, "rejected": rejected}, "decisions": [hold, recommended]}
    path = f"{GROUP.format(cluster.policy['metadata']['namespace'])}/tuningpolicies/api/status"
    server.merge(path, {"status": status})

    await cluster.run(cluster.operator(), seconds=1)

    assert "tuner" not in cluster.policy["status"]
    assert "decisions" not in cluster.policy["status"]
    assert cluster.checkpoint["memory"]["rejected"] == rejected
    assert cluster.checkpoint["holds"][:2] == [hold, recommended]


class Killed(BaseException):
    """What no handler in the loop catches."""


class Deadly:
    """A platform at which the operator dies at one kind of call once a document was written."""

    def __init__(self, platform: KubernetesPlatform, step: str, *, carried_out: bool) -> None:
        self._platform, self._step, self._carried_out, self._changed = platform, step, carried_out, False

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._platform, name)

        async def deadly(*args: Any, **options: Any) -> Any:
            self._changed = self._changed or name == "write_document"
            if not self._changed or name != self._step:
                return await call(*args, **options)
            if self._carried_out:
                await call(*args, **options)
            raise Killed(name)

        return deadly


async def killed(cluster: Cluster, step: str, *, carried_out: bool) -> None:
    """Runs an operator until it dies in its first change."""
    cluster.fleet.service = Service(requests_per_second=300)
    platform, cluster.platform = cluster.platform, Deadly(cluster.platform, step, carried_out=carried_out)
    with pytest.raises(Killed):
        await cluster.run(cluster.operator(), minutes=10)
    cluster.platform = platform


@pytest.mark.invariant
@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", ["write_document", "nudge", "write_checkpoint", "write_status", "policy"])
async def test_an_operator_killed_at_any_step_of_a_change_forgets_nothing_and_invents_nothing(
    step: str, carried_out: bool, cluster: Cluster
) -> None:
    await killed(cluster, step, carried_out=carried_out)

    await cluster.run(cluster.operator(), seconds=0.1)

    status = cluster.policy["status"]
    if (step, carried_out) == ("write_document", False):
        assert "pending" not in status
        assert "decisions" not in status
        return
    (change,) = status["decisions"]
    assert change["generation"] == status["pending"]["generation"] == status["tuning"]["generation"] == 1
    assert change["changes"] == status["pending"]["changes"]
    assert len(cluster.checkpoint["memory"]["changes"]) == cluster.checkpoint["generation"] == 1


@pytest.mark.invariant
@pytest.mark.parametrize("step", ["nudge", "write_checkpoint", "write_status"])
async def test_a_change_that_no_status_knows_yet_can_be_held(
    step: str, server: EnvtestServer, cluster: Cluster
) -> None:
    await killed(cluster, step, carried_out=False)
    assert "decisions" not in cluster.policy["status"]
    path = f"{GROUP.format(cluster.policy['metadata']['namespace'])}/tuningpolicies/api"
    server.merge(path, {"metadata": {"annotations": {"paceline.dev/rollback": "1"}}})

    await cluster.run(cluster.operator(), seconds=0.1)

    status = cluster.policy["status"]
    (ready,) = [each for each in status["conditions"] if each["type"] == "Ready"]
    assert (ready["status"], ready["reason"]) == ("True", "RolledBack")
    assert [entry["generation"] for entry in status["decisions"]] == [1]


@pytest.mark.invariant
def test_it_is_read_and_written_by_name_and_no_more(server: EnvtestServer, namespace: str) -> None:
    path = f"{GROUP.format(namespace)}/tuningcheckpoints"
    owners = [{"apiVersion": "paceline.dev/v1alpha1", "kind": "TuningPolicy", "name": "api", "uid": "1-2-3"}]
    body = {"apiVersion": "paceline.dev/v1alpha1", "kind": "TuningCheckpoint"}
    server.request("POST", path, {**body, "metadata": {"name": "api", "ownerReferences": owners}}, user="operator")
    stored = server.request("GET", f"{path}/api", user="operator")
    server.request("PUT", f"{path}/api", {**stored, "generation": 2}, user="operator")
    with pytest.raises(RefusedError) as conflict:
        server.request("PUT", f"{path}/api", {**stored, "generation": 3}, user="operator")
    assert conflict.value.status == 409
    for method, where in (("GET", path), ("DELETE", f"{path}/api"), ("DELETE", path)):
        with pytest.raises(RefusedError) as refused:
            server.request(method, where, user="operator")
        assert refused.value.status == 403
    with pytest.raises(RefusedError, match="only that the TuningPolicy of the same name owns"):
        server.request("POST", path, {**body, "metadata": {"name": "b", "ownerReferences": owners}}, user="operator")


@pytest.mark.invariant
@pytest.mark.parametrize("verb", ["get", "create", "update", "list", "watch", "delete", "patch"])
def test_a_namespaced_operator_may_do_so_in_its_namespace_alone(
    verb: str, server: EnvtestServer, namespace: str, charts_rules: list[dict[str, Any]]
) -> None:
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    server.create(f"{rbac}/roles", {"metadata": {"name": "paceline"}, "rules": charts_rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "paceline"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"operator-{namespace}"}
    server.create(
        f"{rbac}/rolebindings", {"metadata": {"name": "paceline"}, "roleRef": reference, "subjects": [subject]}
    )

    def may(where: str) -> bool:
        asked = {"group": "paceline.dev", "resource": "tuningcheckpoints", "verb": verb, "namespace": where}
        review = {"spec": {"user": f"operator-{namespace}", "resourceAttributes": {**asked, "name": "api"}}}
        response = server.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(response["status"]["allowed"])

    assert may(namespace) is (verb in {"get", "create", "update"})
    assert not may("default")
