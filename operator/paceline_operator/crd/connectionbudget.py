"""`paceline.dev/v1alpha1` ConnectionBudget: spec → core values. The same parser serves cluster, folder and `check`."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from paceline_operator.core.budget.limit import ConnectionBudget, Pooler
from paceline_operator.crd.problems import problems
from paceline_operator.crd.spec import OperatorClass
from paceline_operator.errors import InvalidSpec
from paceline_operator.ports import PolicyKey

KIND: Final = "ConnectionBudget"
PLURAL: Final = "connectionbudgets"
DEFAULT_RESERVED: Final = 10

_Connections = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _PoolerWire(_Wire):
    clientConnections: _Connections  # noqa: N815 - the wire's name
    serverConnections: _Connections  # noqa: N815


class _SpecWire(_Wire):
    maxConnections: _Connections  # noqa: N815
    reserved: Annotated[int, Field(ge=0, le=1_000_000, strict=True)] = DEFAULT_RESERVED
    endpoint: Literal["Direct", "Pooler"] = "Direct"
    pooler: _PoolerWire | None = None
    allocation: Literal["WorstCase", "Live"] = "WorstCase"
    allowedNamespaces: list[Annotated[str, Field(min_length=1, max_length=63)]] = Field(default_factory=list)  # noqa: N815
    operatorClass: OperatorClass = ""  # noqa: N815

    @field_validator("allocation")
    @classmethod
    def _only_the_worst_case(cls, value: str) -> str:
        if value == "Live":
            raise ValueError("Live is not there yet: write WorstCase, or leave it away")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "_SpecWire":
        most, reserved = self.maxConnections, self.reserved
        if reserved >= most:
            raise ValueError(
                f"reserved {reserved} leaves nothing of maxConnections {most}: lower reserved or raise maxConnections"
            )
        if self.endpoint == "Pooler" and self.pooler is None:
            raise ValueError("endpoint Pooler needs pooler.clientConnections and pooler.serverConnections")
        if self.endpoint == "Direct" and self.pooler is not None:
            raise ValueError("pooler is for endpoint Pooler: write endpoint: Pooler, or remove pooler")
        if self.pooler is not None and self.pooler.serverConnections > most - reserved:
            raise ValueError(
                f"pooler.serverConnections {self.pooler.serverConnections} is more than maxConnections {most} "
                f"less reserved {reserved}"
            )
        return self


def references(spec: Mapping[str, Any], namespace: str) -> frozenset[PolicyKey]:
    """The budgets that a TuningPolicy's pools name, whatever else is wrong with its spec. Never raises."""
    pools = spec.get("pools")
    entries = pools if isinstance(pools, list) else []
    found = (entry.get("budgetRef") for entry in entries if isinstance(entry, Mapping))
    return frozenset(
        PolicyKey(str(each.get("namespace") or namespace), str(each["name"]))
        for each in found
        if isinstance(each, Mapping) and each.get("name")
    )


def parse_budget(spec: Mapping[str, Any], namespace: str) -> ConnectionBudget:
    """The spec of a ConnectionBudget as the core understands it; `namespace` is its own, which may always refer to it.

    Raises:
        InvalidSpec: names every field that is wrong.
    """
    try:
        wire = _SpecWire.model_validate(dict(spec))
    except ValidationError as error:
        raise InvalidSpec(list(problems(error, KIND))) from error
    found = wire.pooler
    pooler = None if found is None else Pooler(found.clientConnections, found.serverConnections)
    return ConnectionBudget(wire.maxConnections, wire.reserved, pooler, frozenset({namespace, *wire.allowedNamespaces}))
