"""A fleet that exists on paper: pods whose `/state` follows from queueing theory, a cluster in memory, a clock to turn.

It stands at the other end of `ports.Platform` and `ports.Telemetry`, so that the whole loop runs unchanged above it.
A worker is an M/M/1 event loop, its pool an M/M/c queue whose servers are held for a query plus the loop's lag.
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from paceline.telemetry.histogram import Histogram
from paceline_operator.core.measure.pods import PodState
from paceline_operator.core.queueing.queueing import erlang_c
from paceline_operator.core.situation.situation import Ended
from paceline_operator.crd.document import digest
from paceline_operator.errors import InvalidState
from paceline_operator.ports import (
    Conflict,
    PlatformUnavailable,
    Pod,
    PolicyKey,
    PolicyResource,
    StoredCheckpoint,
    StoredDocument,
    TargetNotFound,
    TargetRef,
    Trouble,
    Workload,
)
from paceline_operator.telemetry.state import parse_state

KEY = PolicyKey("shop", "api")
TARGET = {"kind": "Deployment", "name": "api"}
PINNED = {"targetRef": TARGET, "mode": "Auto", "workers": {"value": 3}, "pools": [{"name": "postgres", "value": 5}]}
CHOOSING = {
    "targetRef": TARGET,
    "mode": "Auto",
    "objective": {"p95": "45ms"},
    "workers": {"min": 1, "max": 8},
    "pools": [{"name": "postgres", "min": 1, "max": 20}],
    "behavior": {"interval": "5s", "minSamples": 200},
}
MOST_DRAWN = 3000
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Service:
    """What one request costs; load is per pod."""

    requests_per_second: float = 300.0
    cpu_seconds: float = 0.002
    query_seconds: float = 0.006
    cores: float = 4.0
    cpu_limit: float | None = None


@dataclass
class ModelPod:
    """One pod: what it runs, and its cumulative counters."""

    uid: str
    values: dict[str, Any]
    start_values: dict[str, Any]
    generation: int = 0
    digest: str | None = None
    uptime: float = 1000.0
    started_at: str = "2026-01-01T00:00:00Z"
    pending: list[str] = field(default_factory=list)
    clamped: list[dict[str, Any]] = field(default_factory=list)
    refused: dict[str, Any] | None = None
    requests: int = 0
    duration: Histogram = field(default_factory=Histogram)
    lag: Histogram = field(default_factory=Histogram)
    wait: Histogram = field(default_factory=Histogram)
    hold: Histogram = field(default_factory=Histogram)
    cpu_seconds: float = 0.0
    ended: tuple[Ended, ...] = ()
    reported_uid: str | None = None
    slowed: float = 1.0
    """Factor on the duration of its queries."""
    pool_kind: str = "asyncpg"
    """`processes`: its queries are calls of a process pool, right for one worker: a pod has one such pool."""
    adopts: bool = True
    documents: tuple[str, ...] | None = None
    lies: Callable[[dict[str, Any]], object] | None = None
    """What it does to its report."""

    def adopt(self, document: Mapping[str, Any], content: bytes) -> None:
        values = document["values"]
        override = document.get("overrides", {}).get(self.uid)
        if override is not None:
            values = {
                **values,
                **override,
                "pools": {**values["pools"], **override["pools"]},
                "caches": values["caches"],
            }
        self.values = {
            "workers": values.get("workers", self.start_values["workers"]),
            "pools": {**self.start_values["pools"], **values["pools"]},
            "caches": {**self.start_values["caches"], **values["caches"]},
            **({"admission": values["admission"]} if "admission" in values else {}),
        }
        self.generation, self.digest = document["generation"], digest(content)

    def serve(self, service: Service, seconds: float, rng: random.Random) -> None:
        self.uptime += seconds
        workers, pool = self.values["workers"], self.values["pools"]["postgres"]
        # More busy workers than cores slow each other down.
        busy = min(1.0, service.requests_per_second * service.cpu_seconds / workers) * workers
        cpu = service.cpu_seconds * max(1.0, busy / service.cores)
        offered = served = service.requests_per_second / workers
        utilisation, hold = 0.0, service.query_seconds
        for _ in range(30):  # a slow loop holds connections longer, and a small pool keeps the loop idle
            utilisation = min(0.99, served * cpu)
            hold = service.query_seconds + utilisation * cpu / (1 - utilisation)
            served = (served + min(offered, 0.99 / cpu, 0.99 * pool / hold)) / 2
        erlangs = min(served * hold, 0.99 * pool)
        waiting = erlang_c(pool, erlangs)
        count = max(1, round(served * workers * seconds))
        # At most so many are drawn; each stands for as many as it takes.
        weight = -(-count // MOST_DRAWN)
        for _ in range(count // weight):
            lag = rng.expovariate((1 - utilisation) / cpu) if rng.random() < utilisation else 0.0
            wait = rng.expovariate((pool - erlangs) / hold) if rng.random() < waiting else 0.0
            query = rng.expovariate(1 / service.query_seconds) * self.slowed
            drawn = ((self.wait, wait), (self.hold, query + lag), (self.duration, cpu + lag + wait + query))
            for histogram, value in drawn:
                for _ in range(weight):
                    histogram.record(value)
        self.requests += count // weight * weight
        for _ in range(min(round(seconds * 10 * workers), 2000)):
            self.lag.record(rng.expovariate((1 - utilisation) / cpu) if rng.random() < utilisation else 0.0)
        computed = service.query_seconds if self.pool_kind == "processes" else 0.0
        self.cpu_seconds += served * workers * (cpu + computed) * seconds

    def state(self, service: Service) -> dict[str, Any]:
        workers, pool = self.values["workers"], self.values["pools"]["postgres"]
        return {
            "schema": "paceline.dev/state/v1",
            "version": "0.1.0",
            "accepts": ["tuning/v1"],
            "pod": {"name": self.uid, "uid": self.uid if self.reported_uid is None else self.reported_uid},
            "startedAt": self.started_at,
            "uptimeSeconds": self.uptime,
            "tuning": {
                "generation": self.generation,
                "digest": self.digest,
                "appliedAt": None,
                "pending": self.pending,
                "clamped": self.clamped,
                "unknown": [],
                "refused": self.refused,
            },
            "values": self.values,
            "startValues": self.start_values,
            "workers": [
                {"pid": pid, "generation": self.generation, "ready": True, "heartbeatAgeSeconds": 0.1, "inFlight": 0}
                for pid in range(1, workers + 1)
            ],
            "requests": [
                {"group": "GET /products", "count": self.requests, "errors": 0, "duration": self.duration.to_json()}
            ],
            "loopLag": self.lag.to_json(),
            "pools": {
                "postgres": {
                    "kind": self.pool_kind,
                    "limit": pool,
                    "cap": 64,
                    "inUse": 0,
                    "open": pool,
                    "waiting": 0,
                    "timeouts": 0,
                    "wait": self.wait.to_json(),
                    "hold": self.hold.to_json(),
                    "serverMaxConnections": 100,
                }
            },
            "unregistered": [],
            "caches": {},
            "admission": None,
            "cpu": {
                "limit": service.cpu_limit,
                "cores": 64,
                "usageSeconds": self.cpu_seconds,
                "periods": round(self.uptime * 10),
                "throttledPeriods": 0,
            },
            "memory": {"limitBytes": None, "usedBytes": 100, "perWorkerBytes": 50},
            "restarts": 0,
        }


def start_values(workers: int = 1, postgres: int = 1) -> dict[str, Any]:
    return {"workers": workers, "pools": {"postgres": postgres}, "caches": {"responses": {"ttlSeconds": 60}}}


class ModelledFleet:
    """Fulfils `ports.Platform` and `ports.Telemetry`; the test turns the clock with `pass_time`."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        *,
        pods: int = 2,
        service: Service | None = None,
        start: Mapping[str, Any] | None = None,
        seed: int = 1,
    ) -> None:
        self.service = service or Service()
        self.now = START
        self.pods = [
            ModelPod(f"pod-{n}", dict(start or start_values()), dict(start or start_values())) for n in range(pods)
        ]
        self.resources = {KEY: self.resource(spec)}
        self.content: bytes | None = None
        self.version = 0
        self.checkpoints: dict[PolicyKey, StoredCheckpoint] = {}
        self.checkpoint_writes = 0
        self.events: list[tuple[str, bool]] = []
        self.notes: list[str] = []
        self.status_writes = 0
        self.document_writes = 0
        self.scrapes = 0
        self.asked_for_acks: list[set[str]] = []
        self.rolling_out = False
        self.template = "first"
        self.target_exists = True
        self.acking = True
        self.silent: set[str] = set()
        self.troubles: dict[str, Trouble] = {}
        """What the cluster says of pods that do not report, by uid."""
        self.refused: dict[str, Trouble] = {}
        """By uid, in place of a report."""
        self.strangers: dict[str, str] = {}
        self.lacks: dict[str, str] = {}
        """What the pods' manifest lacks of the pod contract, by clause."""
        self.down = False
        self.accepts = ["tuning/v1"]
        self.before_write: Callable[[], object] | None = None
        self.before_status: Callable[[], object] | None = None
        self.before_checkpoint: Callable[[], object] | None = None
        self.after_read: Callable[[], object] | None = None
        self._rng = random.Random(seed)

    def resource(self, spec: Mapping[str, Any], key: PolicyKey = KEY, *, uid: str = "one") -> PolicyResource:
        return PolicyResource(key, uid, 1, "1", self.now, spec)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        for pod in self.pods:
            pod.serve(self.service, seconds, self._rng)

    def restart(self, pod: ModelPod) -> None:
        """As a container that ended just now and was started again."""
        self.pass_time(1)
        pod.ended = (Ended("api", self.now),)

    def edit(self, **changes: Any) -> None:
        """As `kubectl edit`: new fields of the spec, a new generation."""
        before = self.resources[KEY]
        spec = {**before.spec, **changes}
        self.resources[KEY] = replace(
            before, spec=spec, generation=before.generation + 1, resource_version=f"{int(before.resource_version) + 1}"
        )

    def annotate(self, **annotations: str) -> None:
        before = self.resources[KEY]
        named = {f"paceline.dev/{name}": value for name, value in annotations.items()}
        version = f"{int(before.resource_version) + 1}"
        self.resources[KEY] = replace(before, annotations=named, resource_version=version)

    def annotate_namespace(self, **annotations: str) -> None:
        named = {f"paceline.dev/{name}": value for name, value in annotations.items()}
        self.resources[KEY] = replace(self.resources[KEY], namespace_annotations=named)

    def delete(self) -> None:
        """As `kubectl delete`."""
        del self.resources[KEY]

    def mark_as_deleting(self) -> None:
        """As `kubectl delete`, where somebody has set a finalizer."""
        self.resources[KEY] = replace(self.resources[KEY], deleting=True)

    @property
    def status(self) -> Mapping[str, Any]:
        return self.resources[KEY].status

    @property
    def memory(self) -> Mapping[str, Any]:
        """What is stored of what was learnt."""
        stored = self.checkpoints.get(KEY)
        return stored.content.get("memory", {}) if stored and stored.content else {}

    @property
    def holds(self) -> Sequence[Mapping[str, Any]]:
        stored = self.checkpoints.get(KEY)
        return stored.content.get("holds", ()) if stored and stored.content else ()

    @property
    def document_now(self) -> Mapping[str, Any] | None:
        return None if self.content is None else json.loads(self.content)

    def condition(self, name: str) -> Mapping[str, Any]:
        return next(c for c in self.status["conditions"] if c["type"] == name)

    async def rivals(self, key: PolicyKey, target: TargetRef) -> Sequence[PolicyResource]:
        others = (policy for policy in self.resources.values() if policy.key != key)
        return [policy for policy in others if policy.key.namespace == key.namespace]

    async def policy(self, key: PolicyKey) -> PolicyResource | None:
        if self.down:
            raise PlatformUnavailable("the API server does not answer")
        return self.resources.get(key)

    async def workload(self, namespace: str, target: TargetRef) -> Workload:
        if not self.target_exists:
            raise TargetNotFound(f"no {target.kind} {target.name}")
        pods = tuple(
            Pod(
                p.uid,
                p.uid,
                f"http://{p.uid}/state",
                ready=p.uid not in self.troubles,
                ended=p.ended,
                trouble=self.troubles.get(p.uid),
                documents=p.documents,
            )
            for p in self.pods
        )
        return Workload(
            namespace,
            target.api_version,
            target.kind,
            target.name,
            "w",
            len(pods),
            self.rolling_out,
            pods,
            self.template,
            self.strangers,
            lacks=self.lacks,
        )

    async def document(self, workload: Workload) -> StoredDocument:
        hook, self.after_read = self.after_read, None
        if hook:
            hook()
        return StoredDocument() if self.content is None else StoredDocument(self.content, str(self.version))

    async def write_document(self, workload: Workload, content: bytes, expected: str | None) -> None:
        hook, self.before_write = self.before_write, None
        if hook:
            hook()
        if expected != (None if self.content is None else str(self.version)):
            raise Conflict("the document has changed")
        self.content, self.version = content, self.version + 1
        self.document_writes += 1

    async def checkpoint(self, policy: PolicyResource) -> StoredCheckpoint:
        return self.checkpoints.get(policy.key, StoredCheckpoint())

    async def write_checkpoint(self, policy: PolicyResource, content: Mapping[str, Any], expected: str | None) -> str:
        hook, self.before_checkpoint = self.before_checkpoint, None
        if hook:
            hook()
        if expected != (await self.checkpoint(policy)).resource_version:
            raise Conflict("the checkpoint has changed")
        self.checkpoint_writes += 1
        version = str(1000 + self.checkpoint_writes)
        self.checkpoints[policy.key] = StoredCheckpoint(json.loads(json.dumps(content)), version)
        return version

    async def nudge(self, workload: Workload, generation: int) -> None:
        pass

    async def write_status(self, policy: PolicyResource, status: Mapping[str, Any]) -> None:
        hook, self.before_status = self.before_status, None
        if hook:
            hook()
        present = self.resources.get(policy.key)
        if present is None or present.resource_version != policy.resource_version:
            raise Conflict("the policy has changed")
        # Through JSON, as an API server would: no live objects may hide in a status.
        stored = json.loads(json.dumps(status))
        version = f"{int(present.resource_version) + 1}"
        self.resources[policy.key] = replace(present, status=stored, resource_version=version)
        self.status_writes += 1

    async def record_event(self, policy: PolicyResource, reason: str, message: str, *, warning: bool = False) -> None:
        self.events.append((reason, warning))
        self.notes.append(message)

    async def acks(self, pods: Sequence[Pod]) -> Mapping[str, int]:
        asked = {pod.uid for pod in pods}
        self.asked_for_acks.append(asked)
        found = {uid: report for uid, report in self._states().items() if isinstance(report, PodState)}
        return {uid: state.generation for uid, state in found.items() if uid in asked and not state.pending}

    async def scrape(self, pods: Sequence[Pod]) -> Mapping[str, PodState | Trouble]:
        self.scrapes += 1
        return {**self._states(), **self.refused}

    def _report(self, pod: ModelPod) -> PodState | Trouble:
        wire = {**pod.state(self.service), "accepts": self.accepts}
        if pod.lies is not None:
            wire = json.loads(json.dumps(wire))
            pod.lies(wire)
        try:
            return parse_state(wire)
        except InvalidState as error:
            return Trouble("ReportRefused", str(error))

    def _states(self) -> Mapping[str, PodState | Trouble]:
        document = self.document_now
        responses: dict[str, PodState | Trouble] = {}
        for pod in self.pods:
            if self.acking and pod.adopts and document is not None and document["generation"] > pod.generation:
                assert self.content is not None
                pod.adopt(document, self.content)
            if pod.uid not in self.silent and pod.uid not in self.troubles:
                responses[pod.uid] = self._report(pod)
        return responses
