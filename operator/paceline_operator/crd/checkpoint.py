"""A policy's checkpoint: what the loop has learnt of it, and its runs of holds. Bounded in size; pure.

The TuningCheckpoint with the policy's name stores it: `{"generation", "memory", "holds"}`. It may be lost at any time:
the worst that follows is that the loop learns again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from paceline_operator.core.model.tunables import NOTHING
from paceline_operator.core.situation.memory import Memory
from paceline_operator.crd.decisions import Decided, counted, entry_of, is_change
from paceline_operator.crd.document import MOST_GENERATION
from paceline_operator.crd.measured import readable
from paceline_operator.crd.memory import render_tuner
from paceline_operator.errors import InvalidState

MOST_HOLDS: Final = 20
"""Runs of holds."""
MOST_HOLD_BYTES: Final = 16 << 10
"""Of all of them. With `crd.memory.MOST_BYTES` and metadata no TuningCheckpoint reaches 64 KiB."""
MOST_MESSAGE: Final = 500
"""Characters of a hold's message."""
WRITTEN_EVERY: Final = timedelta(minutes=5)
"""Between two writes of what can be learnt again."""
_LASTING: Final = ("changes", "rollbacks", "rejected", "ceiling")
"""What must not be forgotten because the operator was killed: written by the pass that learnt it."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`memory` is as `crd/memory.py` renders it; `generation` is that of the newest document whose change is in it."""

    generation: int = 0
    memory: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    holds: tuple[Mapping[str, Any], ...] = ()


def render_checkpoint(checkpoint: Checkpoint) -> dict[str, Any]:
    """The fields of a TuningCheckpoint."""
    return {
        "generation": checkpoint.generation,
        "memory": dict(checkpoint.memory),
        "holds": [dict(run) for run in checkpoint.holds],
    }


def parse_checkpoint(content: Mapping[str, Any]) -> Checkpoint:
    """The inverse; single figures that cannot be read are forgotten later, by `parse_memory`.

    Raises:
        InvalidState: it is none; somebody else wrote it.
    """
    memory, holds = content.get("memory") or {}, content.get("holds") or []
    if not isinstance(memory, Mapping) or not isinstance(holds, Sequence):
        raise InvalidState("a TuningCheckpoint whose memory is no object, or whose holds are no list")
    generation = readable(lambda: int(content.get("generation") or 0), 0)
    runs = tuple(run for run in holds if isinstance(run, Mapping))
    return Checkpoint(generation if 0 <= generation <= MOST_GENERATION else 0, memory, _bounded(runs))


def taken_over(status: Mapping[str, Any]) -> Checkpoint:
    """What an earlier version of the operator has left in the policy's status."""
    generation = readable(lambda: int(status["tuning"]["generation"]), 0)
    memory = status.get("tuner")
    holds = (entry for entry in status.get("decisions") or () if not is_change(entry))
    return Checkpoint(generation, memory if isinstance(memory, Mapping) else NOTHING, _bounded(tuple(holds)))


def learnt(checkpoint: Checkpoint, memory: Memory) -> Checkpoint:
    """With what the loop remembers now."""
    return replace(checkpoint, memory=render_tuner(memory))


def held(checkpoint: Checkpoint, decided: Decided, now: datetime, interval: timedelta) -> tuple[Checkpoint, bool]:
    """With a hold or a recommendation, and whether it is news: not the repetition of the last one."""
    holds, news = counted(checkpoint.holds, entry_of(decided, now), now, interval)
    return replace(checkpoint, holds=_bounded(holds)), news


def due(stored: Checkpoint | None, present: Checkpoint, age: timedelta) -> bool:
    """Whether the checkpoint has to be written; `age` is how long `stored` has been there.

    What a change or its verdict taught is written at once, all else every five minutes: at most twelve writes an hour
    and two for each change.
    """
    if stored is None:
        return present != Checkpoint()
    if stored == present:
        return False
    lasting = any(stored.memory.get(name) != present.memory.get(name) for name in _LASTING)
    return lasting or stored.generation != present.generation or age >= WRITTEN_EVERY


def _bounded(holds: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """The newest runs that fit."""
    left = tuple({**run, "message": str(run.get("message", ""))[:MOST_MESSAGE]} for run in holds[-MOST_HOLDS:])
    while left and len(orjson.dumps(left)) > MOST_HOLD_BYTES:
        left = left[1:]
    return left
