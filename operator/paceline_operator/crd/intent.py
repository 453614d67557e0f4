"""What a change was made for, stored in the tuning document with the values: `{"decision", "pending", "tuner"}`.

Document and intent are one write, so that an operator that ends between the document and the status or the checkpoint
forgets no change, and one that ends before has announced none. The next pass completes both from it.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from paceline_operator.core.model.values import change_from_wire, change_to_wire, values_from_wire, values_to_wire
from paceline_operator.core.situation.memory import Memory
from paceline_operator.crd.checkpoint import Checkpoint
from paceline_operator.crd.decisions import Decided, changes_of, entry_of
from paceline_operator.crd.document import TuningDocument
from paceline_operator.crd.measured import parse_time, readable, render_time
from paceline_operator.crd.memory import render_pending, render_tuner

_TUNER: Final = ("changes", "rollbacks", "rejected", "oversized", "ceiling", "doubts", "drowned")
"""What a change alters of the loop's memory; the rest is learnt again from the next window."""
_MOST_TEXT: Final = 2000


def render_intent(decided: Decided, memory: Memory, now: datetime) -> dict[str, Any]:
    """The intent of a decision that is about to be applied; `memory` is the one after it."""
    tuner = render_tuner(memory)
    intent: dict[str, Any] = {"decision": entry_of(decided, now), "tuner": {n: tuner[n] for n in _TUNER if n in tuner}}
    if memory.pending is not None:
        intent["pending"] = render_pending(memory.pending)
    return intent


def completed(status: Mapping[str, Any], document: TuningDocument | None, policy: str) -> Mapping[str, Any]:
    """The status with the change that the stored document carries, where it has not been written down yet.

    Args:
        policy: namespace/name; what another policy has decided is not this one's doing.
    """
    tuning = status.get("tuning") or {}
    written = readable(lambda: int(tuning.get("generation") or 0), 0)
    if document is None or document.policy != policy or document.generation <= written:
        return status
    entry = readable(lambda: _checked(document.intent["decision"], document.generation), None)
    if entry is None:
        return status
    found = {
        **status,
        "tuning": {**tuning, "generation": document.generation, "values": values_to_wire(document.values)},
        "decisions": changes_of([*(status.get("decisions") or ()), entry]),
        "pending": readable(lambda: dict(document.intent["pending"]), None),
    }
    return {name: value for name, value in found.items() if value is not None}


def remembered(checkpoint: Checkpoint, document: TuningDocument | None, policy: str) -> Checkpoint:
    """The checkpoint with what the change in the stored document taught, where it is not in there yet."""
    if document is None or document.policy != policy or document.generation <= checkpoint.generation:
        return checkpoint
    memory = {**checkpoint.memory, **readable(lambda: _taught(document), {})}
    return replace(checkpoint, generation=document.generation, memory=memory)


def _taught(document: TuningDocument) -> dict[str, Any]:
    tuner = document.intent["tuner"]
    return {name: tuner[name] for name in _TUNER if name in tuner}


def _checked(wire: Mapping[str, Any], generation: int) -> dict[str, Any]:
    """The entry of a decision, if it is one: anybody who may edit ConfigMaps may have written it.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is not, or is of another generation.
    """
    if wire["generation"] != generation:
        raise ValueError(f"a decision of generation {wire['generation']!r} in the document of {generation}")
    entry: dict[str, Any] = {"time": render_time(parse_time(wire["time"])), "generation": generation}
    if "changes" in wire:
        entry["changes"] = [change_to_wire(change_from_wire(change)) for change in wire["changes"]]
    if "values" in wire:
        entry["values"] = values_to_wire(values_from_wire(wire["values"]))
    texts = {name: wire[name] for name in ("reason", "message", "p95", "traceID") if name in wire}
    if not all(isinstance(text, str) for text in texts.values()) or not texts.get("reason"):
        raise ValueError("a decision without a reason")
    return {**entry, **{name: text[:_MOST_TEXT] for name, text in texts.items()}}
