"""The loop's memory: a checkpoint holds it, the status `pending` and `tuning.lastKnownGood`. Versioned, bounded.

What a newer operator wrote and this one does not know is carried along, and what cannot be read is forgotten: the
worst that follows is one more cautious window.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from paceline_operator.core.model.decision import Reason
from paceline_operator.core.model.tunables import NOTHING
from paceline_operator.core.model.values import change_from_wire, change_to_wire, values_from_wire, values_to_wire
from paceline_operator.core.situation.memory import Memory, Oversized, Pending, Rejected
from paceline_operator.crd.learnt import LEARNT, parse_learnt, render_learnt
from paceline_operator.crd.measured import parse_measured, parse_time, readable, render_measured, render_time

VERSION: Final = 1
MOST_BYTES: Final = 16 << 10
_KNOWN: Final = {"version", "changes", "rollbacks", "rejected", "oversized", "first", "tried"} | set(LEARNT)


def render_tuner(memory: Memory) -> dict[str, Any]:
    """The memory of a checkpoint; where it is too large, first unknown fields are dropped, then the oldest rows."""
    wire: dict[str, Any] = {
        "version": VERSION,
        "changes": [render_time(time) for time in memory.changes],
        "rollbacks": [render_time(time) for time in memory.rollbacks],
        "rejected": [_render_rejected(rejected) for rejected in memory.rejected],
        "oversized": {name: {"windows": o.windows, "needed": o.needed} for name, o in memory.oversized.items()},
    }
    if memory.tried:
        wire["tried"] = memory.tried
    if memory.first is not None:
        wire["first"] = render_measured(memory.first)
    wire |= render_learnt(memory)
    for rows in ("known", "rejected"):
        while len(orjson.dumps(wire)) > MOST_BYTES and wire[rows]:
            wire[rows] = wire[rows][1:]
    whole = {**memory.unknown, **wire}
    return whole if len(orjson.dumps(whole)) <= MOST_BYTES else wire


def render_pending(pending: Pending) -> dict[str, Any]:
    """`status.pending`."""
    wire: dict[str, Any] = {
        "generation": pending.generation,
        "reason": pending.reason.value,
        "changes": [change_to_wire(change) for change in pending.changes],
        "baseline": render_measured(pending.baseline),
        "since": render_time(pending.since),
        "deadline": render_time(pending.deadline),
        "voids": pending.voids,
    }
    if pending.past is not None:
        wire["past"] = render_measured(pending.past)
    if pending.promised is not None:
        wire["promised"] = round(pending.promised, 4)
    uids = {"triedOn": list(pending.tried_on), "failing": list(pending.failing)}
    return {**wire, "template": pending.template, **{name: listed for name, listed in uids.items() if listed}}


def parse_memory(tuner: Mapping[str, Any], status: Mapping[str, Any]) -> Memory:
    """The memory in a checkpoint and in a status, empty where there is none."""
    return Memory(
        changes=readable(lambda: tuple(parse_time(text) for text in tuner.get("changes", ())), ()),
        rollbacks=readable(lambda: tuple(parse_time(text) for text in tuner.get("rollbacks", ())), ()),
        pending=readable(lambda: _parse_pending(status.get("pending")), None),
        last_known_good=readable(lambda: values_from_wire(status["tuning"]["lastKnownGood"]), NOTHING),
        rejected=readable(lambda: tuple(_parse_rejected(entry) for entry in tuner.get("rejected", ())), ()),
        oversized=readable(
            lambda: {n: Oversized(int(o["windows"]), int(o["needed"])) for n, o in tuner.get("oversized", {}).items()},
            {},
        ),
        tried=str(tuner.get("tried") or ""),
        first=readable(lambda: parse_measured(tuner["first"]), None),
        unknown={name: value for name, value in tuner.items() if name not in _KNOWN},
        **parse_learnt(tuner),
    )


def _parse_pending(wire: Mapping[str, Any] | None) -> Pending | None:
    if not wire:
        return None
    return Pending(
        generation=int(wire["generation"]),
        changes=tuple(change_from_wire(change) for change in wire["changes"]),
        reason=Reason(wire["reason"]),
        baseline=parse_measured(wire["baseline"]),
        since=parse_time(wire["since"]),
        deadline=parse_time(wire["deadline"]),
        voids=int(wire.get("voids", 0)),
        tried_on=tuple(str(uid) for uid in wire.get("triedOn") or ()),
        template=str(wire.get("template") or ""),
        failing=tuple(str(uid) for uid in wire.get("failing") or ()),
        past=parse_measured(wire["past"]) if wire.get("past") else None,
        promised=None if wire.get("promised") is None else float(wire["promised"]),
    )


def _render_rejected(rejected: Rejected) -> dict[str, Any]:
    wire: dict[str, Any] = {"values": values_to_wire(rejected.values), "until": render_time(rejected.until)}
    if rejected.load:
        wire |= {"load": round(rejected.load, 3), "template": rejected.template}
    return {**wire, "grown": list(rejected.grown)} if rejected.grown else wire


def _parse_rejected(wire: Mapping[str, Any]) -> Rejected:
    load, template = float(wire.get("load", 0.0)), str(wire.get("template", ""))
    grown = tuple(str(name) for name in wire.get("grown", ()))
    return Rejected(values_from_wire(wire["values"]), parse_time(wire["until"]), load, template, grown)
