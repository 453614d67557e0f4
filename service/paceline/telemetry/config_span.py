"""The span `config.applied`: a process continues the operator's trace with the values it runs now."""

from collections.abc import Mapping
from time import time_ns
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Tracer
from opentelemetry.util.types import AttributeValue

from paceline.telemetry.sampler import GENERATION
from paceline.telemetry.traceparent import links_to


def export_config_applied(
    tracer: Tracer,
    generation: int,
    policy: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    traceparent: str | None,
    seconds: float,
) -> None:
    """A root span that ends now and began `seconds` ago.

    Linked to the operator's span and not its child: the operator's trace is over when the last pod applies a document.
    """
    # Never empty: what shows spans takes one without a duration for a broken one.
    ended = time_ns()
    began = ended - max(int(seconds * 1e9), 1000)
    span = tracer.start_span(
        "config.applied",
        context=Context(),  # not inside whatever span may be current
        attributes={
            GENERATION: generation,
            "paceline.policy": policy,
            **_flat("paceline.old", old),
            **_flat("paceline.new", new),
        },
        links=links_to(traceparent),
        start_time=began,
    )
    span.end(ended)


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """`{"pools": {"postgres": 8}}` → `{"paceline.new.pools.postgres": 8}`: one attribute a value, to search by."""
    flat: dict[str, AttributeValue] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(f"{prefix}.{name}", value)
        elif value is not None:
            flat[f"{prefix}.{name}"] = value
    return flat
