"""`paceline-operator run` under a ConnectionBudget, on a real API server: two workloads, one database."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from envtest import EnvtestServer, RefusedError
from kubernetes_objects import create_deployment, create_pod, owned_by
from modelled_fleet import ModelPod, start_values
from operator_process import COMMAND, OperatorUnderTest, until
from served_pods import ServedPod

pytestmark = [pytest.mark.apiserver, pytest.mark.invariant]
GROUP = "/apis/paceline.dev/v1alpha1/namespaces"


class Home:
    """A namespace with a budget of 20 and two StatefulSet-like workloads, of one pod each."""

    def __init__(self, server: EnvtestServer, namespace: str, stack: ExitStack) -> None:
        self.server, self.namespace, self.stack = server, namespace, stack
        self.pods: dict[str, ServedPod] = {}
        self.apply("connectionbudgets", "main", "ConnectionBudget", {"maxConnections": 20, "reserved": 0})

    def apply(self, plural: str, name: str, kind: str, spec: dict[str, Any]) -> None:
        body = {"apiVersion": "paceline.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.server.apply(f"{GROUP}/{self.namespace}/{plural}/{name}", body)

    def workload(self, name: str, postgres: int) -> None:
        """A Deployment that has at most two pods at the worst: one, and one that drains."""
        create_deployment(self.server, self.namespace, name, replicas=1)
        deployment = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}"
        self.server.merge(deployment, {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}})
        status = {"observedGeneration": 9, "replicas": 1, "updatedReplicas": 1}
        self.server.merge(f"{deployment}/status", {"status": status})
        owner = self.server.get(f"/apis/apps/v1/namespaces/{self.namespace}/replicasets/{name}-1")
        served = ServedPod(lambda: self.document(name))
        self.stack.callback(served.close)
        uid = create_pod(
            self.server, self.namespace, f"{name}-1-a", served.address, name, owned_by("ReplicaSet", owner)
        )
        start = start_values(postgres=postgres)
        served.pod = ModelPod(uid, dict(start), dict(start))
        self.pods[name] = served

    def policy(self, name: str, **pool: Any) -> None:
        pools = [{"name": "postgres", "budgetRef": {"name": "main"}, **pool}]
        self.apply(
            "tuningpolicies", name, "TuningPolicy", {"targetRef": {"name": name}, "mode": "Auto", "pools": pools}
        )

    def document(self, name: str) -> bytes | None:
        try:
            found = self.server.get(f"/api/v1/namespaces/{self.namespace}/configmaps/{name}-tuning")
        except RefusedError:
            return None
        return str(found["data"]["tuning.json"]).encode()

    def size(self, name: str) -> int | None:
        content = self.document(name)
        return None if content is None else json.loads(content)["values"]["pools"].get("postgres")

    def status(self) -> dict[str, Any]:
        return dict(self.server.get(f"{GROUP}/{self.namespace}/connectionbudgets/main").get("status") or {})

    def worst(self) -> dict[str, int]:
        return {each["policy"].split("/")[1]: each.get("worst") for each in self.status().get("members") or ()}

    def condition(self, plural: str, name: str, kind: str) -> tuple[str, str, str] | None:
        found = self.server.get(f"{GROUP}/{self.namespace}/{plural}/{name}").get("status") or {}
        conditions = found.get("conditions") or ()
        return next(((c["status"], c["reason"], c["message"]) for c in conditions if c["type"] == kind), None)


@pytest.fixture
def home(server: EnvtestServer, namespace: str) -> Iterator[Home]:
    with ExitStack() as stack:
        yield Home(server, namespace, stack)


@pytest.fixture
def operator(server: EnvtestServer, home: Home, tmp_path: Path) -> Iterator[OperatorUnderTest]:
    with OperatorUnderTest(server.kubeconfig("operator"), tmp_path, home.namespace) as running:
        running.wait_until_healthy()
        yield running


def test_connections_are_given_before_they_are_taken(operator: OperatorUnderTest, home: Home) -> None:
    home.workload("api", 6)
    home.workload("jobs", 2)
    home.policy("api", value=6)
    home.policy("jobs")
    until(lambda: home.worst() == {"api": 12, "jobs": 4}, "both are counted, with a pod that drains")
    home.policy("jobs", value=7)
    until(
        lambda: (
            "not written: 14 for" in str(home.server.get(f"{GROUP}/{home.namespace}/tuningpolicies/jobs").get("status"))
        ),
        "the second is held",
    )
    assert home.size("jobs") is None
    home.pods["api"].applies = False
    home.policy("api", value=3)
    until(lambda: home.size("api") == 3, "the first is told to give")
    until(lambda: (home.condition("connectionbudgets", "main", "Settled") or ("",))[0] == "False", "it is waited for")
    assert home.size("jobs") is None, "the first has not acked yet"
    home.pods["api"].applies = True
    until(lambda: home.size("jobs") == 7, "the second grows once the first has acked")
    until(lambda: home.worst() == {"api": 6, "jobs": 14}, "the ledger follows")
    assert (home.condition("connectionbudgets", "main", "WithinBudget") or ("",))[0] == "True"


def test_without_the_budget_nothing_grows_and_the_policy_says_the_way_out(
    operator: OperatorUnderTest, home: Home
) -> None:
    home.server.delete(f"{GROUP}/{home.namespace}/connectionbudgets/main")
    home.workload("api", 6)
    home.policy("api", value=9)
    found = until(lambda: home.condition("tuningpolicies", "api", "WithinBudget"), "a condition")
    assert found[:2] == ("False", "BudgetNotFound")
    assert f"there is no ConnectionBudget {home.namespace}/main: create it" in found[2]
    assert home.size("api") is None


def test_the_table_says_who_holds_what(operator: OperatorUnderTest, server: EnvtestServer, home: Home) -> None:
    home.workload("api", 6)
    home.policy("api")
    until(lambda: home.worst() == {"api": 12}, "it is counted")
    done = subprocess.run(
        [COMMAND, "budget", f"{home.namespace}/main"],
        env={"KUBECONFIG": str(server.kubeconfig("operator"))},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "12 of 20 connections at the worst" in done.stdout
    assert "2 pods (1 by spec.replicas, 1 terminating) × 6 connections = 12; its share is 12" in done.stdout
