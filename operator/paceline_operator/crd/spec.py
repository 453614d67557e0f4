"""The spec of a TuningPolicy as pydantic models: shapes, and rules between fields. Meaning is given in `v1alpha1`."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from paceline_operator.core.model.durations import format_duration, parse_duration
from paceline_operator.core.model.objectives import P95, P99, Target
from paceline_operator.core.model.policy import Bounds, Prefer, TunableSpec
from paceline_operator.core.model.tunables import WORKERS, Tunable, cache, pool
from paceline_operator.crd.slips import (
    MOST_MINUTES,
    MOST_MINUTES_OF_A_RESPONSE,
    slip_in_duration,
    slip_in_match,
    slip_in_mode,
)
from paceline_operator.settings import MOST_CLASS_CHARACTERS, OPERATOR_CLASS

DEFAULT_TARGET_API: Final = "apps/v1"
MOST_ROUTE_OBJECTIVES: Final = 8
"""Each is a histogram in the report of every pod."""
MOST_WORKERS: Final = 1024
MOST_CONNECTIONS: Final = 100_000
"""Of a pool in a worker; as the CRD has it, for policies that no API server has seen."""
LONGEST_INTERVAL: Final = timedelta(hours=24)
"""Some things are remembered for hundreds of intervals, which have to end before the calendar does."""


def _read(value: object, most_minutes: int) -> timedelta:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a duration such as 45ms, 60s or 1m30s")
    if slip := slip_in_duration(value, most_minutes):
        raise ValueError(slip)
    return parse_duration(value)


def _duration(value: object) -> timedelta:
    return _read(value, MOST_MINUTES)


def _response_time(value: object) -> timedelta:
    return _read(value, MOST_MINUTES_OF_A_RESPONSE)


def _preference(value: object) -> object:
    """`economy` is what `cost` was called: a stored policy goes on with what it asked for."""
    return Prefer.COST if value == "economy" else value


_Duration = Annotated[timedelta, BeforeValidator(_duration)]
_ResponseTime = Annotated[timedelta, BeforeValidator(_response_time)]
_Count = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]
_Name = Annotated[str, Field(min_length=1, max_length=63)]
OperatorClass = Annotated[str, Field(max_length=MOST_CLASS_CHARACTERS, pattern=OPERATOR_CLASS)]
"""Of the operator that works on an object; empty: of the one without a class."""


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TargetWire(_Wire):
    apiVersion: str = DEFAULT_TARGET_API  # noqa: N815 - the wire's name
    kind: _Name = "Deployment"
    name: Annotated[str, Field(min_length=1, max_length=253)]


class _RangeWire(_Wire):
    """`{value: N}` pins, `{min, max}` lets the operator choose."""

    value: _Count | None = None
    min: _Count | None = None
    max: _Count | None = None

    @model_validator(mode="after")
    def _either_or(self) -> "_RangeWire":
        _check_range(self.value, self.min, self.max)
        return self

    def spec(self, tunable: Tunable, budget: str | None = None, weight: int = 1) -> TunableSpec:
        pinned, bounds = self.value, None if self.max is None else Bounds(self.min or 1, self.max)
        return TunableSpec(tunable, pinned=pinned, bounds=bounds, budget=budget, weight=weight)


class _TtlWire(_Wire):
    value: _Duration | None = None
    min: _Duration | None = None
    max: _Duration | None = None

    @model_validator(mode="after")
    def _either_or(self) -> "_TtlWire":
        _check_range(self.value, self.min, self.max)
        return self


class _BudgetRefWire(_Wire):
    name: _Name
    namespace: _Name | None = None
    weight: Annotated[int, Field(ge=1, le=1000, strict=True)] = 1


class _PoolWire(_RangeWire):
    """`budgetRef` alone counts the pool and moves nothing."""

    name: _Name
    budgetRef: _BudgetRefWire | None = None  # noqa: N815

    @model_validator(mode="after")
    def _either_or(self) -> "_PoolWire":
        if self.budgetRef is None or (self.value, self.min, self.max) != (None, None, None):
            _check_range(self.value, self.min, self.max)
        return self


class _CacheWire(_Wire):
    name: _Name
    ttl: _TtlWire
    maxStaleness: _Duration | None = None  # noqa: N815

    @model_validator(mode="after")
    def _never_staler(self) -> "_CacheWire":
        longest = self.ttl.value or self.ttl.max
        if self.maxStaleness is not None and longest is not None and longest > self.maxStaleness:
            raise ValueError("ttl may not be longer than maxStaleness")
        return self

    def spec(self) -> TunableSpec:
        tunable = cache(self.name)
        if self.ttl.value is not None:
            return TunableSpec(tunable, pinned=self.ttl.value.total_seconds())
        assert self.ttl.max is not None  # _either_or saw to it
        minimum = self.ttl.min or timedelta()
        return TunableSpec(tunable, bounds=Bounds(minimum.total_seconds(), self.ttl.max.total_seconds()))


class _AdmissionWire(_Wire):
    min: _Count
    max: _Count

    @model_validator(mode="after")
    def _ordered(self) -> "_AdmissionWire":
        _check_range(None, self.min, self.max)
        return self


class _PercentileWire(_Wire):
    """Exactly one of `p95` and `p99`."""

    p95: _ResponseTime | None = None
    p99: _ResponseTime | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "_PercentileWire":
        if (self.p95 is None) == (self.p99 is None):
            raise ValueError("give exactly one of p95 and p99, such as p95: 45ms")
        if self.limit <= timedelta():
            raise ValueError(f"{'p95' if self.p95 is not None else 'p99'} must be longer than 0s")
        return self

    @property
    def limit(self) -> timedelta:
        found = self.p99 if self.p95 is None else self.p95
        assert found is not None  # _exactly_one saw to it
        return found

    def target(self, match: str = "") -> Target:
        return Target(self.limit, P99 if self.p95 is None else P95, match)


class _RouteObjectiveWire(_PercentileWire):
    match: Annotated[str, BeforeValidator(slip_in_match), Field(max_length=256)]


class _RoutesWire(_Wire):
    exclude: Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=64)] = Field(
        default_factory=list
    )
    objectives: Annotated[list[_RouteObjectiveWire], Field(max_length=MOST_ROUTE_OBJECTIVES)] = Field(
        default_factory=list
    )

    @model_validator(mode="after")
    def _each_once(self) -> "_RoutesWire":
        matches = [each.match for each in self.objectives]
        for match in sorted({match for match in matches if matches.count(match) > 1}):
            raise ValueError(f"objectives: {match!r} is there twice")
        for match in sorted({match for match in matches if match in self.exclude}):
            raise ValueError(f"objectives: {match!r} is in exclude as well; remove one of them")
        return self


class ObjectiveWire(_PercentileWire):
    errorRatio: float = Field(default=0.001, ge=0, lt=1)  # noqa: N815
    prefer: Annotated[Prefer, BeforeValidator(_preference)] = Prefer.COST
    routes: _RoutesWire = Field(default_factory=_RoutesWire)


def _pods(value: object) -> int | float:
    """`3` → 3, `"10%"` → 0.1; a share is a float."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (found := re.fullmatch(r"(\d{1,2}|100)%", value)):
        return int(found[1]) / 100
    raise ValueError(f"{value!r} is neither a number of pods such as 1 nor a share of them such as 10%")


class _CanaryWire(_Wire):
    pods: Annotated[int | float, BeforeValidator(_pods)] = 1


class BehaviorWire(_Wire):
    interval: _Duration = timedelta(seconds=60)
    minSamples: _Count = 2000  # noqa: N815
    tolerance: float = Field(default=0.1, ge=0.01, le=1)
    cooldown: _Duration | None = None
    maxChangesPerHour: Annotated[int, Field(ge=1, le=120, strict=True)] = 20  # noqa: N815
    stabilizationWindows: Annotated[int, Field(ge=1, le=60, strict=True)] = 5  # noqa: N815
    canary: _CanaryWire = Field(default_factory=_CanaryWire)

    @model_validator(mode="after")
    def _patient(self) -> "BehaviorWire":
        if self.interval < timedelta(seconds=5):
            raise ValueError("interval may not be shorter than 5s")
        for name, given in (("interval", self.interval), ("cooldown", self.cooldown)):
            if given is not None and given > LONGEST_INTERVAL:
                raise ValueError(f"{name} may not be longer than {format_duration(LONGEST_INTERVAL)}")
        return self


class SpecWire(_Wire):
    targetRef: TargetWire  # noqa: N815
    mode: Annotated[Literal["Off", "Recommend", "Auto"], BeforeValidator(slip_in_mode)] = "Recommend"
    objective: ObjectiveWire | None = None
    workers: _RangeWire | None = None
    pools: list[_PoolWire] = Field(default_factory=list)
    caches: list[_CacheWire] = Field(default_factory=list)
    admission: _AdmissionWire | None = None
    maxReplicas: _Count | None = None  # noqa: N815
    behavior: BehaviorWire = Field(default_factory=BehaviorWire)
    operatorClass: OperatorClass = ""  # noqa: N815

    @model_validator(mode="after")
    def _consistent(self) -> "SpecWire":
        for field, names in (("pools", [p.name for p in self.pools]), ("caches", [c.name for c in self.caches])):
            for name in sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{field}: {name!r} is named twice")
        _require_few("workers", self.workers, MOST_WORKERS)
        for each in self.pools:
            _require_few(f"pools: {each.name}", each, MOST_CONNECTIONS)
        if self.objective is None and any(spec.bounds for spec in self.tunables("")):
            raise ValueError("objective.p95 is needed to choose between min and max; or pin each tunable with value")
        return self

    def tunables(self, namespace: str) -> Iterator[TunableSpec]:
        if self.workers is not None:
            yield self.workers.spec(WORKERS)
        for wire in self.pools:
            reference = wire.budgetRef
            budget = f"{reference.namespace or namespace}/{reference.name}" if reference else None
            yield wire.spec(pool(wire.name), budget, reference.weight if reference else 1)
        for cached in self.caches:
            yield cached.spec()


def _require_few(name: str, wire: _RangeWire | None, most: int) -> None:
    if wire is not None and max(wire.value or 0, wire.max or 0) > most:
        raise ValueError(f"{name}: at most {most}")


def _check_range(value: Any, minimum: Any, maximum: Any) -> None:
    if (value is None) == (maximum is None) or (value is not None and minimum is not None):
        raise ValueError("give either value, or max with an optional min")
    if minimum is not None and maximum is not None and minimum > maximum:
        raise ValueError("min is larger than max")
