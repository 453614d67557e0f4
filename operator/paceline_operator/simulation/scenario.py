"""A scenario file: a fleet, a service, a load, faults and a policy. Every field has a default (DESIGN: docs/tuning.md).

Durations and quantities are written as in Kubernetes: `4ms`, `60s`, `120Mi`.
"""

from datetime import timedelta
from math import inf
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from paceline_operator.core.model.policy import Policy
from paceline_operator.core.model.tunables import Values
from paceline_operator.core.model.values import values_from_wire
from paceline_operator.crd.v1alpha1 import parse_policy
from paceline_operator.errors import InvalidSpec, UsageError
from paceline_operator.simulation.faults import FaultKind, FaultPart
from paceline_operator.simulation.units import Bytes, Part, Seconds, Size, Ttl

TARGET: Final = {"kind": "Deployment", "name": "simulated"}


class FleetPart(Part):
    replicas: int = Field(default=10, ge=1)
    cpuLimit: float | None = Field(default=2.0, gt=0)  # noqa: N815 - the file's names
    """`null`: none, and `cores` alone bounds what a pod computes."""
    cores: int | None = Field(default=None, ge=1)
    """Of its node that a pod may run on, shared by its workers; absent: pods do not say, and there are enough."""
    memoryLimit: Bytes = Field(default=2 * 2.0**30, gt=0)  # noqa: N815
    memoryBase: Bytes = Field(default=120 * 2.0**20, ge=0)  # noqa: N815
    memoryPerWorker: Bytes = Field(default=60 * 2.0**20, gt=0)  # noqa: N815
    workerStart: Seconds = Field(default=0.3, ge=0)  # noqa: N815

    @model_validator(mode="after")
    def _bounded(self) -> "FleetPart":
        if self.cpuLimit is None and self.cores is None:
            raise ValueError("without a cpuLimit the cores of a node have to be given: cores: 4")
        return self

    @property
    def cpu(self) -> float:
        """The cores that a pod may use at the most."""
        return min(self.cpuLimit or inf, self.cores or inf)


class SlowRoutePart(Part):
    """A second route, `GET /slow`; the other one is `GET /`."""

    share: float = Field(default=0.0, ge=0, lt=1)
    """Of the requests."""
    cpuFactor: float = Field(default=1.0, gt=0)  # noqa: N815
    """Times the CPU time of the others."""


class ServicePart(Part):
    cpuPerRequest: Seconds = Field(default=0.004, gt=0)  # noqa: N815
    cpuCv: float = Field(default=0.5, ge=0)  # noqa: N815
    databaseQueriesPerRequest: float = Field(default=1.0, ge=0)  # noqa: N815
    cacheableShare: float = Field(default=0.0, ge=0, le=1)  # noqa: N815
    cacheKeys: int = Field(default=20000, ge=1)  # noqa: N815
    zipf: float = Field(default=0.9, ge=0)
    updateRatePerKey: float = Field(default=0.0, ge=0)  # noqa: N815
    workerOverhead: float = Field(default=0.015, ge=0)  # noqa: N815
    """Share by which each further worker of a pod makes a request's CPU time longer: colder caches, more switches."""
    slowRoute: SlowRoutePart = SlowRoutePart()  # noqa: N815


class DatabasePart(Part):
    time: Seconds = Field(default=0.006, gt=0)
    cv: float = Field(default=1.0, ge=0)
    maxConnections: int = Field(default=200, ge=1)  # noqa: N815
    reserved: int = Field(default=10, ge=0)
    cores: float = Field(default=16, gt=0)
    """Told for the reader: how queries slow each other down is what sigma and kappa say."""
    sigma: float = Field(default=0.0, ge=0)
    kappa: float = Field(default=0.0, ge=0)


class LoadPart(Part):
    start: int = Field(default=0, alias="from", ge=0)
    requestsPerSecond: float = Field(default=2600.0, gt=0)  # noqa: N815
    shape: Literal["constant", "ramp", "diurnal", "weekly", "burst"] = "constant"
    to: float | None = Field(default=None, gt=0)
    amplitude: float = Field(default=0.0, ge=0, lt=1)
    period: float = Field(default=24, gt=0)
    factor: float = Field(default=1.0, gt=0)
    """Of a burst over the load between bursts; of a weekend over the days before it."""
    every: int = Field(default=10, ge=1)
    length: int = Field(default=1, ge=1)


class HpaPart(Part):
    min: int = Field(default=1, ge=1)
    max: int = Field(default=10, ge=1)
    targetCpuRatio: float = Field(default=0.7, gt=0)  # noqa: N815


class StartPart(Part):
    """What pods start with. A TTL is a duration, or what a tuning document has for a cache."""

    workers: Size = 1
    pools: dict[str, Size] = Field(default={"postgres": 5})
    caches: dict[str, Ttl] = Field(default={})


class Scenario(Part):
    """One file, validated. Loads and faults count in intervals from 0."""

    name: str = Field(min_length=1)
    intervals: int = Field(default=40, ge=1)
    interval: Seconds = Field(default=60.0, ge=5)
    fleet: FleetPart = FleetPart()
    service: ServicePart = ServicePart()
    database: DatabasePart = DatabasePart()
    load: tuple[LoadPart, ...] = (LoadPart(),)
    burstiness: float = Field(default=1.25, ge=1)
    hpa: HpaPart | None = None
    faults: tuple[FaultPart, ...] = ()
    policy: dict[str, Any] = Field(default_factory=dict)
    start: StartPart = StartPart()

    @model_validator(mode="after")
    def _loads_in_order(self) -> "Scenario":
        starts = [part.start for part in self.load]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)):
            raise ValueError("load begins at interval 0 and its parts follow each other: check `from`")
        return self

    def active(self, kind: FaultKind, interval: int) -> FaultPart | None:
        """The last fault of this kind that is active."""
        found = [fault for fault in self.faults if fault.kind == kind and fault.active(interval)]
        return found[-1] if found else None

    def parsed_policy(self) -> Policy:
        """The policy, in mode Auto, with the scenario's interval unless it names its own.

        Raises:
            UsageError: the policy of the file is not a TuningPolicy's spec.
        """
        whole = {"targetRef": TARGET, **self.policy, "mode": "Auto"}
        whole.setdefault("objective", {"p95": "45ms"})
        whole.setdefault("workers", {"min": 1, "max": 8})
        whole.setdefault("pools", [{"name": "postgres", "min": 1, "max": 40, "budgetRef": {"name": "main"}}])
        behavior = {"interval": f"{self.interval:g}s", "minSamples": 500, **whole.get("behavior", {})}
        try:
            return parse_policy({**whole, "behavior": behavior}, "simulated")
        except InvalidSpec as error:
            raise UsageError(f"scenario {self.name}: policy: {'; '.join(error.problems)}") from error

    def preferring(self, preference: Literal["cost", "latency"]) -> "Scenario":
        """The same under a policy that prefers this."""
        objective = {**self.policy.get("objective", {"p95": "45ms"}), "prefer": preference}
        return self.model_copy(update={"policy": {**self.policy, "objective": objective}})

    def without_budget(self) -> "Scenario":
        """The same under a policy whose pools draw from no budget: their bounds alone limit them."""
        pools = self.policy.get("pools", [{"name": "postgres", "min": 1, "max": 40}])
        free = [{name: value for name, value in pool.items() if name != "budgetRef"} for pool in pools]
        return self.model_copy(update={"policy": {**self.policy, "pools": free}})

    def start_values(self) -> Values:
        """What pods start with: one worker, five connections, no cache where the file does not say."""
        caches = {name: {"ttlSeconds": ttl} for name, ttl in self.start.caches.items()}
        return values_from_wire({"workers": self.start.workers, "pools": self.start.pools, "caches": caches})


def load_scenario(path: Path) -> Scenario:
    """Reads one file.

    Raises:
        UsageError: it cannot be read, or names the first field that is wrong.
    """
    try:
        return parse_scenario(yaml.safe_load(path.read_text()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: {_why(error)}") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _why(error: Exception) -> str:
    """In one line."""
    if isinstance(error, OSError):
        return error.strerror or "cannot be read"
    return f"is not YAML: {' '.join(str(error).split())}"


def parse_scenario(wire: object) -> Scenario:
    """A scenario as parsed YAML.

    Raises:
        UsageError: names the first field that is wrong.
    """
    try:
        scenario = Scenario.model_validate(wire)
        scenario.parsed_policy()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        what = "there is no such field" if first["type"] == "extra_forbidden" else first["msg"]
        raise UsageError(f"{where}: {what.removeprefix('Value error, ')}") from error
    return scenario


def longest(scenario: Scenario) -> timedelta:
    """All intervals, the warm-up of one included."""
    return timedelta(seconds=scenario.interval * (scenario.intervals + 1))
