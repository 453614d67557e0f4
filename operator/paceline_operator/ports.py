"""What the loop needs of its surroundings, as protocols and frozen values.

`cluster/kubernetes.py` fulfils them with an API server, `cluster/local.py` with a folder and processes on loopback.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeAlias

from paceline_operator.core.budget.worst_case import Shape
from paceline_operator.core.measure.pods import PodState
from paceline_operator.core.model.decision import Reason
from paceline_operator.core.situation.situation import Ended


class PolicyKey(NamedTuple):
    """Names one TuningPolicy."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class TargetRef:
    """What a policy points at: any kind with a scale subresource, in the policy's namespace."""

    api_version: str
    kind: str
    name: str

    @property
    def identity(self) -> tuple[str, str, str]:
        """What it names: the group without its version, since apps/v1 and apps/v1beta1 name one workload."""
        return self.api_version.rpartition("/")[0], self.kind, self.name


@dataclass(frozen=True, slots=True)
class PolicyResource:
    """A TuningPolicy as read, unparsed. `resource_version` is what a status write is compared with."""

    key: PolicyKey
    uid: str
    generation: int
    resource_version: str
    created: datetime
    spec: Mapping[str, Any]
    status: Mapping[str, Any] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    namespace_annotations: Mapping[str, str] = field(default_factory=dict)
    """Of the policy's namespace; empty where they cannot be read."""
    deleting: bool = False
    refused: str = ""
    """Why the annotations of its namespace, which may pause it, cannot be read."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a pod cannot be counted on: a reason in one word, and a sentence."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of a target. `state_url` is None where it has no port named `paceline`, or no address yet."""

    name: str
    uid: str
    state_url: str | None
    ready: bool
    terminating: bool = False
    ended: tuple[Ended, ...] = ()
    """When its containers ended last; a sidecar's end does not count."""
    trouble: Trouble | None = None
    """What the platform says is wrong with it: it is pending, or its container keeps failing."""
    documents: tuple[str, ...] | None = None
    """Names of the ConfigMaps that it mounts; None where the platform has no such thing."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The target as it is now."""

    namespace: str
    api_version: str
    kind: str
    name: str
    uid: str
    replicas: int
    rolling_out: bool
    pods: tuple[Pod, ...]
    template: str = ""
    """Tells one pod template from another; empty where there is none."""
    strangers: Mapping[str, str] = field(default_factory=dict)
    """By name, pods that carry the labels of the target's and do not belong to it, and whose they are."""
    shape: Shape = field(default_factory=Shape)
    """How many pods it may have."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """What its pods' manifest lacks of the pod contract, by clause; empty where the platform has no manifests."""

    @property
    def document_name(self) -> str:
        """The ConfigMap that holds the tuning document."""
        return f"{self.name}-tuning"

    @property
    def staying(self) -> tuple[Pod, ...]:
        """The pods that count: those that are not on their way out."""
        return tuple(pod for pod in self.pods if not pod.terminating)


@dataclass(frozen=True, slots=True)
class BudgetResource:
    """A ConnectionBudget as read, unparsed. `resource_version` is what a status write is compared with."""

    key: PolicyKey
    uid: str
    generation: int
    resource_version: str
    spec: Mapping[str, Any]
    status: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """The tuning document as stored; both None while there is none."""

    content: bytes | None = None
    resource_version: str | None = None


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A policy's checkpoint as stored, unparsed; `content` and `resource_version` are None while there is none."""

    content: Mapping[str, Any] | None = None
    resource_version: str | None = None
    foreign: bool = False
    """Whether another policy owns it, perhaps an earlier one of the same name, or nobody."""


class Conflict(Exception):
    """What was read has changed since; read anew and decide again."""


class TargetNotFound(Exception):
    """The policy's targetRef names nothing that exists, or a kind without a scale subresource."""


class PlatformUnavailable(Exception):
    """The API server, or what stands for it, did not respond; try later, change nothing."""


class PlatformRefused(PlatformUnavailable):
    """The API server responded, and will refuse the same again until a person changes something."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Platform(Protocol):
    """Reads and writes of one reconcile pass. Every method may raise PlatformUnavailable."""

    async def rivals(self, key: PolicyKey, target: TargetRef) -> Sequence[PolicyResource]:
        """The other policies of its namespace that name the target, read anew; some that do not may be among them."""

    async def policy(self, key: PolicyKey) -> PolicyResource | None:
        """One policy, read anew; None when it is gone."""

    async def workload(self, namespace: str, target: TargetRef) -> Workload:
        """The target and its pods. Raises TargetNotFound."""

    async def document(self, workload: Workload) -> StoredDocument:
        """The stored tuning document."""

    async def write_document(self, workload: Workload, content: bytes, expected: str | None) -> None:
        """Stores the document if its resource version is still `expected` (None: creates it). Raises Conflict."""

    async def checkpoint(self, policy: PolicyResource) -> StoredCheckpoint:
        """What was learnt of the policy."""

    async def write_checkpoint(self, policy: PolicyResource, content: Mapping[str, Any], expected: str | None) -> str:
        """Stores it, owned by the policy, if its resource version is still `expected` (None: creates it); the new one.

        Raises:
            Conflict: it is not.
        """

    async def nudge(self, workload: Workload, generation: int) -> None:
        """Makes kubelet sync the mounted document at once, through `pods/status`; best effort."""

    async def write_status(self, policy: PolicyResource, status: Mapping[str, Any]) -> None:
        """Replaces the status if the policy is still the one read. Raises Conflict."""

    async def record_event(self, policy: PolicyResource, reason: str, message: str, *, warning: bool = False) -> None:
        """Emits a Kubernetes Event about the policy; best effort."""


class Budgets(Protocol):
    """ConnectionBudgets, and who refers to them. Every method may raise PlatformUnavailable."""

    async def budget(self, key: PolicyKey) -> BudgetResource | None:
        """One budget, read anew; None where there is none."""

    async def referring(self, key: PolicyKey) -> Sequence[PolicyResource]:
        """The policies whose pools name the budget, read anew."""

    async def most_replicas(self, namespace: str, target: TargetRef) -> int | None:
        """The most pods that an autoscaler may make of a workload; None where it has none."""

    async def write_budget(self, budget: BudgetResource, status: Mapping[str, Any]) -> None:
        """Replaces the status if the budget is still the one read. Raises Conflict."""


class Telemetry(Protocol):
    """Reads what pods report."""

    async def scrape(self, pods: Sequence[Pod]) -> Mapping[str, PodState | Trouble]:
        """`/state` by pod uid, or why there is none; a pod that cannot be asked is absent."""

    async def acks(self, pods: Sequence[Pod]) -> Mapping[str, int]:
        """By pod uid, the generation that every live worker of the pod runs with nothing left to do.

        A pod in the middle of a change is absent, and so is one that does not respond. No more is read of a report.
        """


class Exclusion(Protocol):
    """Which of several operators works on the policies of a namespace."""

    async def other(self, namespace: str) -> str | None:
        """Who else does; None where we do, from now on. May raise PlatformUnavailable."""


Attribute: TypeAlias = str | int | float | bool | Sequence[str]
"""What a span can carry."""


class Span(Protocol):
    """One traced step of a pass."""

    @property
    def traceparent(self) -> str | None:
        """W3C trace context of this step, for the tuning document; None where nothing is recorded."""

    def set(self, **attributes: Attribute | None) -> None:
        """Adds attributes, e.g. the reason of a decision; without those that are None."""

    def event(self, name: str, **attributes: Attribute) -> None:
        """Adds something that happened now."""

    def link(self, traceparent: str) -> None:
        """Links another trace, by its W3C trace context; one that cannot be read is left out."""


class Tracer(Protocol):
    """Traces a pass: a span `reconcile` with `observe`, `decide`, `apply` and `propagate` inside."""

    def span(self, name: str, **attributes: Attribute) -> AbstractContextManager[Span]:
        """A span around the with-block; a child of the one that is open."""


class NoSpan:
    """Records nothing."""

    traceparent: str | None = None

    def set(self, **attributes: Attribute | None) -> None:
        """Drops them."""

    def event(self, name: str, **attributes: Attribute) -> None:
        """Drops it."""

    def link(self, traceparent: str) -> None:
        """Drops it."""


class NoTracer:
    """The tracer of an operator without an exporter."""

    def span(self, name: str, **attributes: Attribute) -> AbstractContextManager[Span]:
        """A block without a trace."""
        return nullcontext(NoSpan())
