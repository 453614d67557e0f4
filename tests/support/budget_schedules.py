"""Several workloads, one budget, and operators that may be stopped between any two calls: the loop's own functions on
an API server in memory, one call at a time."""

from collections.abc import Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from paceline_operator.core.budget.worst_case import Shape, WorstCase, connections_per_pod, worst_case
from paceline_operator.core.guards.explicit import explicit_changes
from paceline_operator.core.measure.pods import PodState
from paceline_operator.core.model.tunables import WORKERS, Values, pool
from paceline_operator.core.situation.situation import Situation
from paceline_operator.crd.budget_status import ledger
from paceline_operator.crd.checkpoint import Checkpoint
from paceline_operator.crd.document import parse_document
from paceline_operator.loop.act import write_document
from paceline_operator.loop.budget import BudgetReconciler
from paceline_operator.loop.footprint import running_per_pod
from paceline_operator.loop.gather import Gathered, fleet_of, gather, values_in_force
from paceline_operator.loop.rooms import reserve, with_rooms
from paceline_operator.loop.understand import understand
from paceline_operator.ports import (
    BudgetResource,
    Conflict,
    Pod,
    PolicyKey,
    PolicyResource,
    StoredDocument,
    TargetNotFound,
    TargetRef,
    Workload,
)
from paceline_operator.settings import OperatorSettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BUDGET = PolicyKey("data", "main")
POOLS = frozenset({"postgres"})
POSTGRES = pool("postgres")


class Step:
    """Where a pass may be stopped: before each call."""

    def __await__(self) -> Generator[None, None, None]:
        yield


@dataclass(slots=True)
class ModelPod:
    """One pod: what it was told, what it runs, and what it still holds of before."""

    uid: str
    mounted: bytes | None
    values: Values
    generation: int
    held: int = 0
    """Connections open; above what its limits allow while transactions last."""
    terminating: bool = False
    reachable: bool = True

    @property
    def most(self) -> int:
        """The connections that it may have open."""
        return max(self.held, connections_per_pod(self.values, POOLS))


@dataclass(slots=True)
class ModelWorkload:
    """One workload with its policy and its pods."""

    key: PolicyKey
    start: Values
    replicas: int
    shape: Shape
    autoscaler: int | None
    spec: Mapping[str, Any] | None
    pods: dict[str, ModelPod] = field(default_factory=dict)
    document: bytes | None = None
    version: int = 0
    generation: int = 1
    stranger: bool = False
    """Its policy was deleted before anybody had counted it: its connections are among those that `reserved` is for."""

    @property
    def worst(self) -> WorstCase:
        maximum = (self.spec or {}).get("maxReplicas")
        return worst_case(
            replace(self.shape, replicas=self.replicas), autoscaler=self.autoscaler, policy=maximum, seen=len(self.pods)
        )

    @property
    def told(self) -> Values:
        """What a pod runs that is born now."""
        return self.start if self.document is None else {**self.start, **parse_document(self.document).values}

    @property
    def per_pod(self) -> int:
        """The most that any of its pods may open, now or after its next look at the document."""
        return max(connections_per_pod(self.told, POOLS), *(pod.most for pod in self.pods.values()), 0)

    @property
    def potential(self) -> int:
        return 0 if self.stranger else self.worst.pods * self.per_pod


class ModelCluster:
    """Fulfils `Platform`, `Telemetry` and `Budgets`; compare-and-set as an API server does it."""

    def __init__(self, connections: int) -> None:
        self.workloads: dict[PolicyKey, ModelWorkload] = {}
        self.connections = connections
        self.operator_class = ""
        self.budget_version = 1
        self.status: Mapping[str, Any] = {}
        self._uids = 0

    def born(self, workload: ModelWorkload) -> None:
        """A new pod, which runs the document as it is stored, or its start values."""
        self._uids += 1
        document = workload.document
        generation = parse_document(document).generation if document else 0
        workload.pods[f"p{self._uids}"] = ModelPod(f"p{self._uids}", document, workload.told, generation)

    @property
    def potential(self) -> int:
        """Connections that may be open at the worst: what must never be above the budget."""
        return sum(workload.potential for workload in self.workloads.values())

    @property
    def promised(self) -> int:
        """The same, with what is reserved and not written yet."""
        entries = ledger(self.status)
        total = 0
        for workload in self.workloads.values():
            entry = entries.get(str(workload.key))
            reserved = workload.worst.pods * entry.per_pod if entry else 0
            total += max(workload.potential, reserved)
        return total

    async def budget(self, key: PolicyKey) -> BudgetResource | None:
        await Step()
        spec = {"maxConnections": self.connections, "reserved": 0, "allowedNamespaces": ["*"]}
        if self.operator_class:
            spec["operatorClass"] = self.operator_class
        return BudgetResource(BUDGET, "budget", 1, str(self.budget_version), spec, self.status)

    async def referring(self, key: PolicyKey) -> Sequence[PolicyResource]:
        await Step()
        return [_resource(each) for each in self.workloads.values() if each.spec is not None]

    async def most_replicas(self, namespace: str, target: TargetRef) -> int | None:
        await Step()
        return self.workloads[PolicyKey(namespace, target.name)].autoscaler

    async def write_budget(self, budget: BudgetResource, status: Mapping[str, Any]) -> None:
        await Step()
        if budget.resource_version != str(self.budget_version):
            raise Conflict("the budget has changed")
        self.budget_version += 1
        self.status = status

    async def rivals(self, key: PolicyKey, target: TargetRef) -> Sequence[PolicyResource]:
        return ()

    async def policy(self, key: PolicyKey) -> PolicyResource | None:
        await Step()
        workload = self.workloads[key]
        return _resource(workload) if workload.spec is not None else None

    async def workload(self, namespace: str, target: TargetRef) -> Workload:
        await Step()
        found = self.workloads.get(PolicyKey(namespace, target.name))
        if found is None:
            raise TargetNotFound(target.name)
        pods = tuple(
            Pod(pod.uid, pod.uid, f"http://{pod.uid}/state", ready=True, terminating=pod.terminating)
            for pod in found.pods.values()
        )
        shape = replace(found.shape, replicas=found.replicas)
        return Workload(
            namespace, "apps/v1", "Deployment", target.name, target.name, found.replicas, False, pods, shape=shape
        )

    async def document(self, workload: Workload) -> StoredDocument:
        await Step()
        found = self.workloads[PolicyKey(workload.namespace, workload.name)]
        return StoredDocument(found.document, str(found.version) if found.document else None)

    async def write_document(self, workload: Workload, content: bytes, expected: str | None) -> None:
        await Step()
        found = self.workloads[PolicyKey(workload.namespace, workload.name)]
        if expected != (str(found.version) if found.document else None):
            raise Conflict("the document has changed")
        found.document, found.version = content, found.version + 1

    async def nudge(self, workload: Workload, generation: int) -> None:
        """Pods look when they look."""

    async def write_status(self, policy: PolicyResource, status: Mapping[str, Any]) -> None:
        raise NotImplementedError

    async def record_event(self, policy: PolicyResource, reason: str, message: str, *, warning: bool = False) -> None:
        raise NotImplementedError

    async def scrape(self, pods: Sequence[Pod]) -> Mapping[str, PodState]:
        await Step()
        known = {uid: (each, pod) for each in self.workloads.values() for uid, pod in each.pods.items()}
        return {pod.uid: _state(*known[pod.uid]) for pod in pods if pod.uid in known and known[pod.uid][1].reachable}

    async def acks(self, pods: Sequence[Pod]) -> Mapping[str, int]:
        raise NotImplementedError


def divide_once(cluster: ModelCluster) -> Coroutine[Any, Any, object]:
    """A pass over the budget, by an operator that has just started."""
    settings = OperatorSettings()
    reconciler = BudgetReconciler(cluster, cluster, cluster, now=lambda: NOW, settings=settings, wake=lambda keys: None)
    return reconciler.reconcile(BUDGET)


async def tune_once(cluster: ModelCluster, key: PolicyKey, wish: Values) -> None:
    """A pass over one policy that wishes for values, in the order of calls of the real one.

    Raises:
        Conflict, NoRoom: nothing was written.
    """
    resource = await cluster.policy(key)
    if resource is None:
        return
    policy, target = await understand(cluster, resource)
    gathered = await gather(cluster, cluster, resource, policy, target, Checkpoint())
    gathered = await with_rooms(cluster, gathered)
    values = _decided(gathered, wish)
    if values is None:
        return
    await reserve(cluster, cluster, gathered, values, ())
    await write_document(cluster, gathered, values, {}, None, {})


def _decided(gathered: Gathered, wish: Values) -> Values | None:
    now = values_in_force(gathered)
    if running_per_pod(gathered, POOLS) is None and gathered.document is None:
        return None
    situation = Situation(gathered.policy, now, fleet_of(gathered), NOW, budgets=gathered.budgets)
    due = explicit_changes(situation)
    if due is not None:
        return {**now, **{change.tunable: change.new for change in due.changes}}
    if gathered.reserved_in_vain:
        return now
    return None if wish == now or not wish else {**now, **wish}


def adopt(workload: ModelWorkload, pod: ModelPod) -> None:
    """kubelet has synced the document, and the agent applies it: new limits at once, open connections end later."""
    if workload.document is None or pod.mounted == workload.document:
        return
    before = pod.most
    document = parse_document(workload.document)
    pod.mounted, pod.generation = workload.document, document.generation
    pod.values = {**workload.start, **document.values}
    pod.held = before


def restart(workload: ModelWorkload, pod: ModelPod) -> None:
    """The container starts anew: it runs what is mounted, and all of its connections have ended."""
    document = parse_document(pod.mounted) if pod.mounted else None
    pod.values = {**workload.start, **document.values} if document else workload.start
    pod.generation = document.generation if document else 0
    pod.held = 0


def _state(workload: ModelWorkload, pod: ModelPod) -> PodState:
    pending = ("pools.postgres",) if pod.held > connections_per_pod(pod.values, POOLS) else ()
    return PodState(
        started_at="2026-01-01T00:00:00Z",
        uptime_seconds=100.0,
        generation=pod.generation,
        uid=pod.uid,
        pending=pending,
        values=pod.values,
        start_values=workload.start,
    )


def _resource(workload: ModelWorkload) -> PolicyResource:
    key = workload.key
    return PolicyResource(key, str(key), workload.generation, "1", NOW, workload.spec or {})


def values(workers: int, size: int) -> Values:
    return {WORKERS: float(workers), POSTGRES: float(size)}
