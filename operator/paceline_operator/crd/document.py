"""The tuning document: built here only, and read back. Its schema is docs/schemas/tuning.v1.schema.json."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from paceline_operator.core.model.tunables import NOTHING, Values
from paceline_operator.core.model.values import values_from_wire, values_to_wire
from paceline_operator.errors import InvalidState

SCHEMA: Final = "paceline.dev/tuning/v1"
MOST_GENERATION: Final = 2**62
"""Far from the end of 64 bits: whatever is read, there are numbers above it."""


@dataclass(frozen=True, slots=True)
class TuningDocument:
    """One generation of values, as stored; `digest` is what pods report of the bytes they read."""

    generation: int
    values: Values
    policy: str
    digest: str
    overrides: Mapping[str, Values] = field(default_factory=lambda: NOTHING)
    """By pod uid: what single pods run in place of the common values."""
    intent: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    """Why the operator wrote it, as `crd/intent.py` has it; pods ignore it."""
    traceparent: str = ""
    """W3C trace context of the pass that wrote it; empty where nothing was recorded."""
    routes: tuple[str, ...] = ()
    """Route groups and patterns of them that pods are to report by these names."""


def build_document(
    generation: int,
    values: Values,
    policy: str,
    traceparent: str | None = None,
    overrides: Mapping[str, Values] = NOTHING,
    intent: Mapping[str, Any] = NOTHING,
    routes: Sequence[str] = (),
) -> bytes:
    """The bytes to store. The same arguments give the same bytes."""
    wire: dict[str, Any] = {"schema": SCHEMA, "generation": generation, "policy": policy}
    if traceparent is not None:
        wire["traceparent"] = traceparent
    wire["values"] = values_to_wire(values)
    if overrides:
        wire["overrides"] = {uid: values_to_wire(overrides[uid]) for uid in sorted(overrides)}
    if routes:
        wire["routes"] = list(routes)
    if intent:
        wire["intent"] = dict(intent)
    return orjson.dumps(wire)


def parse_document(content: bytes) -> TuningDocument:
    """Reads a stored document back.

    Raises:
        InvalidState: it is not one; somebody else wrote it.
    """
    try:
        wire: Mapping[str, Any] = orjson.loads(content)
        if wire["schema"] != SCHEMA or not 1 <= int(wire["generation"]) <= 2 * (MOST_GENERATION - 1):
            raise ValueError(f"schema {wire['schema']!r}, generation {wire['generation']!r}")
        values = values_from_wire(wire["values"])
        overrides = {str(uid): values_from_wire(v) for uid, v in (wire.get("overrides") or {}).items()}
        policy, intent = str(wire.get("policy", "")), wire.get("intent")
        written_for = intent if isinstance(intent, dict) else NOTHING
        return TuningDocument(
            int(wire["generation"]),
            values,
            policy,
            digest(content),
            overrides,
            written_for,
            str(wire.get("traceparent", "")),
            tuple(map(str, wire.get("routes") or ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InvalidState(f"stored tuning document: {type(error).__name__}: {error}") from error


def digest(content: bytes) -> str:
    """sha256 of the bytes, as pods report it: `sha256:<hex>`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
