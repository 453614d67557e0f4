"""Workloads that share one PostgreSQL in a real cluster: installed from the chart, with the benchmark's application."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from background_load import BackgroundLoad
from images import TAG
from release import Release, new_release, remove_leftovers, settings_for
from testcluster import Cluster, CommandFailed, until

DATABASE: Final = "paceline-postgresql"
MAX_CONNECTIONS: Final = 40
RESERVED: Final = 6
"""Three for superusers, and three for who looks: the samples, probes, a person."""
NEAR_SECONDS: Final = 0.1
FIXED: Final = 10
"""Connections of a worker where nobody divides: the usual default."""
BUDGET: Final = "main"
_LIMIT: Final = f"max_connections={MAX_CONNECTIONS}"
_API: Final = "paceline.dev/v1alpha1"
_PORT: Final = 30091
_REFUSALS: Final = ("too many clients", "remaining connection slots")
_CHANGE: Final = "UPDATE distance SET seconds = {}"
_TABLE: Final = """CREATE TABLE distance AS SELECT {}::float8 AS seconds;
CREATE ROLE service LOGIN PASSWORD 'service'; GRANT SELECT ON distance TO service"""
_SECRET: Final = "database"
_URL: Final = f"postgresql://service:service@{DATABASE}:5432/paceline"
"""No superuser's, as it should be: whoever looks gets in even where the pods take all that they may."""


@dataclass(frozen=True)
class Workload:
    """One Deployment of the fleet, and what it is asked for."""

    name: str
    port: int
    rate: float
    weight: int = 1
    replicas: int = 1
    most: int | None = None
    """Its autoscaler's maximum; None: it has no autoscaler."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/query"

    @property
    def settings(self) -> list[str]:
        """For the chart."""
        scaling = [
            f"service.autoscaling.enabled={'true' if self.most else 'false'}",
            f"service.autoscaling.minReplicas={self.replicas}",
            f"service.autoscaling.maxReplicas={self.most or self.replicas}",
            # Bursts come from its bounds, not from what a busy machine takes for load.
            "service.autoscaling.targetCPUUtilizationPercentage=1000",
        ]
        return [f"service.replicas={self.replicas}", f"service.nodePort={self.port}", *scaling]

    @property
    def policy(self) -> dict[str, Any]:
        reference = {"name": BUDGET, "weight": self.weight}
        return {
            "apiVersion": _API,
            "kind": "TuningPolicy",
            "metadata": {"name": self.name},
            "spec": {
                "targetRef": {"name": f"{self.name}-service"},
                "mode": "Auto",
                "objective": {"p95": "150ms"},
                "pools": [{"name": "postgres", "min": 1, "max": FIXED, "budgetRef": reference}],
                "behavior": {"interval": "5s", "minSamples": 20, "cooldown": "5s", "maxChangesPerHour": 120},
            },
        }


SHOP: Final = Workload("shop", _PORT, rate=12, weight=3, replicas=2)
SEARCH: Final = Workload("search", _PORT + 1, rate=4)
REPORTS: Final = Workload("reports", _PORT + 2, rate=5, weight=2, most=4)
BILLING: Final = Workload("billing", _PORT + 3, rate=4)
"""Joins when the others are there."""


@dataclass(frozen=True)
class Fleet:
    """All of it, in one namespace; `server` is the release with the database and the operator."""

    server: Release

    def kubectl(self, *arguments: str) -> str:
        return self.server.kubectl(*arguments)

    def install(self, *workloads: Workload) -> None:
        """Installs workloads, all at once; returns when their pods serve, with pools of one connection."""
        settings = [
            *("operator.enabled=false", "crds.enabled=false", f"service.image.tag={TAG}"),
            *("service.app=application:app", f"service.database.existingSecret={_SECRET}"),
            *("service.extraVolumes[0].name=application", "service.extraVolumes[0].configMap.name=application"),
            *("service.extraVolumeMounts[0].name=application", "service.extraVolumeMounts[0].mountPath=/application"),
            *("service.env.PYTHONPATH=/application", "service.env.POOL=1"),
            *("service.resources.requests.cpu=50m", "service.resources.requests.memory=64Mi"),
        ]

        def installed(workload: Workload) -> None:
            options = [word for each in (*settings, *workload.settings) for word in ("--set", each)]
            where = ("--namespace", self.server.namespace, "--wait", "--timeout=4m")
            chart = str(Path(__file__).parents[3] / "helm" / "paceline")
            self.server.cluster.helm("install", workload.name, chart, *where, *options)

        with ThreadPoolExecutor() as threads:
            list(threads.map(installed, workloads))

    def ungovern(self, *workloads: Workload) -> None:
        """No operator, no budget, and fixed pools: each Deployment is rolled out with them."""
        self.kubectl("delete", "tuningpolicies,connectionbudgets", "--all", "--wait")
        self.kubectl("scale", "deployment/paceline-operator", "--replicas=0")
        self.kubectl(
            "delete", "configmap", "--ignore-not-found", *(f"{each.name}-service-tuning" for each in workloads)
        )
        deployments = [f"deployment/{each.name}-service" for each in workloads]
        self.kubectl("set", "env", *deployments, f"POOL={FIXED}")
        for deployment in deployments:
            self.kubectl("rollout", "status", deployment, "--timeout=180s")

    def _drained(self, workload: Workload) -> None:
        until(lambda: not self.ending(workload), 90, f"the old pods of {workload.name} are gone")

    def ending(self, workload: Workload) -> bool:
        """Whether pods are on their way out."""
        selector = f"--selector=app.kubernetes.io/instance={workload.name}"
        return len(self.kubectl("get", "pods", selector, "--output=name").split()) > len(self.pods(workload))

    def pods(self, workload: Workload) -> list[dict[str, Any]]:
        """Those that stay."""
        return Release(self.server.cluster, self.server.namespace, workload.name).pods()

    def ready(self, workload: Workload) -> int:
        statuses = (pod["status"].get("containerStatuses", ()) for pod in self.pods(workload))
        return sum(all(each["ready"] for each in containers) for containers in statuses if containers)

    def roll(self, workload: Workload) -> None:
        """A new template; returns when no old pod is left."""
        deployment = f"deployment/{workload.name}-service"
        self.kubectl("rollout", "restart", deployment)
        self.kubectl("rollout", "status", deployment, "--timeout=180s")
        self._drained(workload)

    def burst(self, workload: Workload) -> None:
        """From one pod to the most, by the autoscaler's lower bound; returns when they are ready."""
        patch = {"spec": {"minReplicas": workload.most}}
        self.kubectl("patch", "horizontalpodautoscaler", f"{workload.name}-service", "--patch", json.dumps(patch))
        until(lambda: self.ready(workload) == workload.most, 120, f"{workload.most} pods of {workload.name} are ready")

    def distance(self, seconds: float) -> None:
        """How long a query takes from now on."""
        until(
            lambda: self._changed(seconds), 60, "the server lets us in: pods that try to connect take even its reserve"
        )

    def _changed(self, seconds: float) -> bool:
        with suppress(CommandFailed):
            self.sql(_CHANGE.format(seconds))
            return True
        return False

    def sql(self, statement: str) -> str:
        psql = ("psql", "--username=paceline", "--dbname=paceline", "--quiet", "--tuples-only", "--no-align")
        return self.kubectl("exec", f"deployment/{DATABASE}", "--", *psql, "--command", statement)

    def refused(self) -> int:
        """Connections that the server refused since it started, as its log tells."""
        lines = self.kubectl("logs", f"deployment/{DATABASE}", "--tail=-1").splitlines()
        return sum("FATAL" in line and any(words in line for words in _REFUSALS) for line in lines)

    def budget(self) -> dict[str, Any]:
        path = f"/apis/{_API}/namespaces/{self.server.namespace}/connectionbudgets/{BUDGET}"
        return dict((self.server.cluster.object(path) or {}).get("status") or {})

    def govern(self, *workloads: Workload) -> None:
        """The budget, and a policy for each."""
        spec = {"maxConnections": MAX_CONNECTIONS, "reserved": RESERVED}
        budget = {"apiVersion": _API, "kind": "ConnectionBudget", "metadata": {"name": BUDGET}, "spec": spec}
        self.server.cluster.apply(self.server.namespace, budget, *(workload.policy for workload in workloads))

    def counted(self, *workloads: Workload) -> None:
        """Waits until the budget knows them and all that was moved for them has been acked."""
        names = {f"{self.server.namespace}/{workload.name}" for workload in workloads}

        def settled() -> bool:
            status = self.budget()
            known = {member["policy"] for member in status.get("members", ()) if "perPod" in member}
            calm = {each["type"] for each in status.get("conditions", ()) if each["status"] == "True"}
            return names <= known and {"WithinBudget", "Settled"} <= calm

        until(settled, 120, f"{len(names)} members are counted and settled")

    def kill_operator(self) -> None:
        """SIGKILL, and nobody starts it again."""
        pods = [pod["metadata"]["name"] for pod in self.server.pods("operator")]
        self.kubectl("scale", "deployment/paceline-operator", "--replicas=0")
        self.kubectl("delete", "pod", *pods, "--force", "--grace-period=0", "--ignore-not-found")

    def start_operator(self) -> None:
        self.kubectl("scale", "deployment/paceline-operator", "--replicas=1")
        self.kubectl("rollout", "status", "deployment/paceline-operator", "--timeout=120s")


def load(*workloads: Workload, rate: float | None = None) -> BackgroundLoad:
    """On each of them what it is asked for, or `rate`."""
    return BackgroundLoad({workload.url: rate or workload.rate for workload in workloads})


@contextmanager
def fleet(cluster: Cluster) -> Iterator[Fleet]:
    """A database that takes 40 connections, an operator, and no workload yet."""
    remove_leftovers(cluster)
    server = new_release(cluster, "budget")
    found = Fleet(server)
    try:
        server.install(*settings_for(server.namespace), "service.enabled=false")
        change = {"op": "replace", "path": "/spec/template/spec/containers/0/args/1", "value": _LIMIT}
        found.kubectl("patch", f"deployment/{DATABASE}", "--type=json", "--patch", json.dumps([change]))
        found.kubectl("rollout", "status", f"deployment/{DATABASE}", "--timeout=120s")
        found.sql(_TABLE.format(NEAR_SECONDS))
        found.kubectl("create", "secret", "generic", _SECRET, f"--from-literal=url={_URL}")
        application = Path(__file__).with_name("application.py")
        found.kubectl("create", "configmap", "application", f"--from-file={application}")
        yield found
    finally:
        remove_leftovers(cluster)
