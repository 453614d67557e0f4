"""The tuning document as values. Parsing only: no file, no clock.

The operator writes it, one generation after another; `docs/schemas/tuning.v1.schema.json` is the contract.
"""

import hashlib
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from paceline.document.tunables import LARGEST_VALUE, REGISTERED, SECTIONS, AdmissionValues, CacheValues
from paceline.errors import InvalidDocument

SCHEMA = "paceline.dev/tuning/v1"
LARGEST_GENERATION: Final = 2**63 - 1
"""int64: what a Kubernetes resource, a span attribute and `/state` can hold."""
PROCESSES: Final = "processes"
"""`kind` of a pool of processes in `/state`: its size is per pod, not per worker."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_MOST_ROUTES: Final = 128
"""Groups of a document that get a histogram in `/state`; a policy has 72 at the most."""
_LONGEST_ROUTE: Final = 512
_SHOWN: Final = 120
"""Characters of a field's path in a message; names in a document may be of any length."""


@dataclass(frozen=True, slots=True)
class Values:
    """A complete set of tunables; None or an absent name means the pod's start value.

    Pool sizes and admission are per worker. Without `admission` every request is admitted.
    """

    workers: int | None = None
    pools: Mapping[str, int] = field(default_factory=lambda: _EMPTY)
    caches: Mapping[str, CacheValues] = field(default_factory=lambda: _EMPTY)
    admission: AdmissionValues | None = None

    def to_json(self) -> dict[str, Any]:
        """The wire form: `{"workers": 4, "pools": {…}, "caches": {"responses": {"ttlSeconds": 60}}}`."""
        written = {each.name: each.each(getattr(self, each.name), each.write) for each in SECTIONS}
        return {name: content for name, content in written.items() if content is not None}

    def over(self, common: "Values") -> "Values":
        """These values in place of the common ones; what they do not name is the common value."""
        return Values(**{s.name: s.merged(getattr(common, s.name), getattr(self, s.name)) for s in SECTIONS})

    def unknown(self, registered: Mapping[str, Container[str]]) -> list[str]:
        """Names that nothing is registered under, sorted. `registered` has the names by section."""
        return sorted(
            {name for each in REGISTERED for name in getattr(self, each.name) if name not in registered[each.name]}
        )


@dataclass(frozen=True, slots=True)
class TuningDocument:
    """One generation of tuned values for all pods of a target."""

    generation: int
    values: Values
    overrides: Mapping[str, Values]
    digest: str
    policy: str = ""
    traceparent: str | None = None
    routes: tuple[str, ...] = ()
    """Route groups, and patterns of them such as `GET /reports/*`, that `/state` shows by these names."""

    def values_for(self, pod_uid: str) -> Values:
        """The values for one pod: an override (canary) replaces single tunables of the common values."""
        override = self.overrides.get(pod_uid)
        return self.values if override is None else override.over(self.values)


_Count = Annotated[int, Field(ge=1, le=LARGEST_VALUE)]
_Seconds = Annotated[float, Field(ge=0, le=LARGEST_VALUE, allow_inf_nan=False)]


class _CacheWire(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    ttlSeconds: _Seconds  # noqa: N815 - the wire's name


class _AdmissionWire(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    min: _Count
    max: _Count
    p95Seconds: Annotated[_Seconds, Field(gt=0)] | None = None  # noqa: N815 - the wire's name


class _ValuesWire(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    workers: _Count | None = None
    pools: dict[str, _Count] = Field(default_factory=dict)
    caches: dict[str, _CacheWire] = Field(default_factory=dict)
    admission: _AdmissionWire | None = None

    def to_values(self) -> Values:
        wire = self.model_dump()
        return Values(**{each.name: each.each(wire[each.name], each.read) for each in SECTIONS})


class _EffectiveWire(_ValuesWire):
    """What the agent writes: while a lone worker is exchanged there is none."""

    workers: Annotated[int, Field(ge=0)] | None = None


class _DocumentWire(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    schema_: Literal["paceline.dev/tuning/v1"] = Field(alias="schema")
    generation: Annotated[int, Field(ge=1, le=LARGEST_GENERATION)]
    values: _ValuesWire
    overrides: dict[str, _ValuesWire] = Field(default_factory=dict)
    policy: str = ""
    traceparent: str | None = None
    routes: list[str] = Field(default_factory=list)


def parse_document(content: bytes) -> TuningDocument:
    """Parses the bytes of a tuning document; unknown fields are ignored, so that a newer operator may add some.

    Raises:
        InvalidDocument: names the field and what is wrong with it.
    """
    try:
        wire = _DocumentWire.model_validate_json(content)
    except ValidationError as error:
        raise InvalidDocument(f"tuning document: {_first_mistake(error)}") from error
    return TuningDocument(
        generation=wire.generation,
        values=wire.values.to_values(),
        overrides={uid: values.to_values() for uid, values in wire.overrides.items()},
        digest=digest(content),
        policy=wire.policy,
        traceparent=wire.traceparent,
        routes=tuple(route for route in wire.routes if len(route) <= _LONGEST_ROUTE)[:_MOST_ROUTES],
    )


def parse_values(wire: Mapping[str, Any]) -> Values:
    """Parses the `values` object alone (the form inside `effective.json`).

    Raises:
        InvalidDocument: as `parse_document`.
    """
    try:
        return _EffectiveWire.model_validate_json(orjson.dumps(wire)).to_values()
    except ValidationError as error:
        raise InvalidDocument(f"values: {error.errors(include_url=False)[0]['msg']}") from error


def _first_mistake(error: ValidationError) -> str:
    """`values.workers: Input should be less than …`, on one short line whatever names the document uses."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "document"
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in where)
    return f"{shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '…'}: {first['msg']}"


def digest(content: bytes) -> str:
    """sha256 of the bytes read, as pods report it: `sha256:<hex>`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
