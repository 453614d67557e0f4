"""An installed chart in a namespace of its own: its pods, what they say, its policies."""

import contextlib
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from images import TAG, ensure_images
from testcluster import TEST_LABEL, Cluster, until

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "paceline"
# The part of the process tree whose parent is not the same part; never this script itself.
KILL = """
import os, pathlib
def parent(pid):
    return int(pathlib.Path(f"/proc/{{pid}}/stat").read_text().rsplit(")", 1)[1].split()[1])
found = {{int(entry.name) for entry in pathlib.Path("/proc").glob("[0-9]*")
         if b"paceline.serve.{part}" in entry.joinpath("cmdline").read_bytes()}} - {{os.getpid()}}
top, = [pid for pid in found if parent(pid) not in found]
os.kill(top, 9)
"""
POLICIES = "/apis/paceline.dev/v1alpha1/namespaces/{}/tuningpolicies"


@dataclass(frozen=True)
class Pinned:
    """Values that a person chose, as a policy says them and as `/state` shows them."""

    workers: int
    postgres: int
    ttl_seconds: int

    def spec(self) -> dict[str, Any]:
        return {
            "mode": "Auto",
            "behavior": {"interval": "5s"},
            "workers": {"value": self.workers},
            "pools": [{"name": "postgres", "value": self.postgres}],
            "caches": [{"name": "responses", "ttl": {"value": f"{self.ttl_seconds}s"}}],
        }

    def runs_in(self, state: dict[str, Any] | None) -> bool:
        """Every worker of the pod runs these values and nothing is under way: the ack."""
        if state is None or state["tuning"]["pending"]:
            return False
        alive = [worker["generation"] for worker in state["workers"] if worker["ready"]]
        return self.are_in(state) and len(alive) == self.workers

    def are_in(self, state: dict[str, Any]) -> bool:
        """The pod shows these values, whether or not something is under way."""
        values = state["values"]
        found = (
            values["workers"],
            values["pools"]["postgres"],
            values["caches"].get("responses", {}).get("ttlSeconds"),
        )
        return found == (self.workers, self.postgres, self.ttl_seconds)


@dataclass(frozen=True)
class Release:
    """One `helm install`."""

    cluster: Cluster
    namespace: str
    name: str = "paceline"

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, stdin=stdin)

    def install(self, *settings: str) -> None:
        self._helm("install", *settings)

    def upgrade(self, *settings: str) -> None:
        self._helm("upgrade", "--reuse-values", *settings)

    def uninstall(self) -> None:
        self.cluster.helm("uninstall", self.name, "--namespace", self.namespace, "--wait", "--timeout=3m")

    def _helm(self, verb: str, *settings: str) -> None:
        options = [item for setting in settings for item in (("--set", setting) if "=" in setting else (setting,))]
        # The CRD outlives a release on purpose, so the next one has to take it over.
        where = ("--namespace", self.namespace, "--take-ownership", "--wait", "--timeout=4m")
        try:
            self.cluster.helm(verb, self.name, str(CHART), *where, *options)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.describe()}") from error

    def describe(self) -> str:
        """What the pods and their logs say, for the message of a failed test."""
        logs = (
            "logs",
            "--ignore-errors",
            "--selector=app.kubernetes.io/name=paceline",
            "--tail=15",
            "--all-containers",
            "--prefix",
        )
        commands = [("get", "pods", "--output=wide"), ("get", "events", "--sort-by=.lastTimestamp"), logs]
        said = []
        for command in commands:
            with contextlib.suppress(AssertionError):  # a container that has not started has no log
                said.append(self.kubectl(*command)[-4000:])
        return "\n".join(said)

    def pods(self, component: str = "service") -> list[dict[str, Any]]:
        """The component's pods that are not on their way out."""
        selector = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"
        path = f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={selector}"
        items = self.cluster.object(path)["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def state(self, pod: str) -> dict[str, Any] | None:
        """What `/state` of a pod says; None while it does not answer."""
        found: dict[str, Any] | None = self.cluster.read(
            f"/api/v1/namespaces/{self.namespace}/pods/{pod}:9090/proxy/state"
        )
        return found

    def states(self) -> dict[str, dict[str, Any] | None]:
        return {pod["metadata"]["name"]: self.state(pod["metadata"]["name"]) for pod in self.pods()}

    def answers(self) -> dict[str, dict[str, Any]]:
        """What `/state` of each pod says, once all answer."""

        def all_answer() -> dict[str, dict[str, Any]]:
            states = self.states()
            answered = {name: state for name, state in states.items() if state is not None}
            return answered if len(answered) == len(states) else {}

        return until(all_answer, 60, "every pod answers")

    def generation(self) -> int:
        """The newest that any pod follows."""
        return max(int(state["tuning"]["generation"]) for state in self.answers().values())

    def apply(self, spec: dict[str, Any], name: str = "api") -> float:
        """Applies a policy on the service; returns when, as `time.monotonic()` just before."""
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{self.name}-service"}
        policy = {
            "apiVersion": "paceline.dev/v1alpha1",
            "kind": "TuningPolicy",
            "metadata": {"name": name},
            "spec": {"targetRef": target, **spec},
        }
        began = time.monotonic()
        self.cluster.apply(self.namespace, policy)
        return began

    def policy(self, name: str = "api") -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.cluster.object(f"{POLICIES.format(self.namespace)}/{name}")
        return found

    def delete_policies(self) -> None:
        self.kubectl("delete", "tuningpolicies", "--all", "--wait", "--timeout=30s")

    def condition(self, kind: str, name: str = "api") -> tuple[str, str] | None:
        """Status and reason of a condition that speaks about the newest spec."""
        policy = self.policy(name) or {}
        status = policy.get("status", {})
        if status.get("observedGeneration") != policy.get("metadata", {}).get("generation"):
            return None
        found = [item for item in status.get("conditions", []) if item["type"] == kind]
        return (found[0]["status"], found[0]["reason"]) if found else None

    def document(self) -> dict[str, Any] | None:
        """The ConfigMap with the tuning document."""
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/{self.name}-service-tuning"
        found: dict[str, Any] | None = self.cluster.object(path)
        return found

    def acked(self, values: Pinned) -> bool:
        states = self.states()
        return bool(states) and all(values.runs_in(state) for state in states.values())

    def converge(self, values: Pinned, seconds: float = 90) -> float:
        """Applies pinned values and waits until every pod runs them; returns the seconds that took."""
        began = self.apply(values.spec())
        until(lambda: self.acked(values), seconds, f"all pods run {values}: {self.brief()}")
        return time.monotonic() - began

    def brief(self) -> dict[str, Any]:
        return {name: state and (state["tuning"], state["values"]) for name, state in self.states().items()}

    def execute(self, pod: str, code: str) -> str:
        """Runs Python in the service's container."""
        return self.kubectl("exec", pod, "--container=service", "--", "python", "-c", code)

    def kill(self, pod: str, part: str) -> None:
        """SIGKILL to the pod's agent or arbiter."""
        self.execute(pod, KILL.format(part=part))


def new_release(cluster: Cluster, purpose: str) -> Release:
    """A namespace for one release, with images of this tree at hand."""
    ensure_images(cluster)
    release = Release(cluster, f"paceline-{purpose}-{uuid.uuid4().hex[:6]}")
    cluster.create_namespace(release.namespace)
    return release


def remove_leftovers(cluster: Cluster) -> None:
    """Removes what interrupted runs left behind, cluster-wide objects included."""
    for name in cluster.kubectl("get", "namespaces", f"--selector={TEST_LABEL}=true", "--output=name").split():
        namespace = name.removeprefix("namespace/")
        cluster.helm("uninstall", "paceline", "--namespace", namespace, "--ignore-not-found", "--wait")
        cluster.delete_namespace(namespace)


def settings_for(namespace: str) -> list[str]:
    """Settings that every release in a test needs: this tree's images, databases at hand, eyes on its own namespace."""
    settings = [f"service.image.tag={TAG}", f"operator.image.tag={TAG}", "demo.enabled=true"]
    for value, variable in {
        "demo.postgresql.image": "PACELINE_TEST_POSTGRES_IMAGE",
        "demo.valkey.image": "PACELINE_TEST_VALKEY_IMAGE",
    }.items():
        settings += [f"{value}={os.environ[variable]}"] if variable in os.environ else []
    return [*settings, f"operator.env.PACELINE_OPERATOR_NAMESPACES={namespace}"]


def example(name: str) -> dict[str, Any]:
    items = yaml.safe_load_all((ROOT / "k8s" / "examples" / f"{name}.yaml").read_text())
    policy: dict[str, Any] = next(item for item in items if item["kind"] == "TuningPolicy")
    return policy
