"""How far a change was carried out, as JSON and back: what a restarted agent goes on from. Pure.

It is saved before anything that it says is written for workers or arbiter. So what an agent that was killed left is at
most older than what it saved: the next one writes the rest, and counts from then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from paceline.document.adoption import DesiredState, Refusal
from paceline.document.bounds import complete
from paceline.document.model import parse_values
from paceline.document.pod import Worker
from paceline.document.sequencing import Progress
from paceline.errors import InvalidDocument


@dataclass(frozen=True, slots=True)
class Saved:
    """All that an agent remembers of the tuning documents it read."""

    progress: Progress
    newest: DesiredState
    """The newest generation ever followed; it stays the newest when it was undone."""
    served: bool
    """Whether a worker of this life was ready once."""
    applied: tuple[int, float] | None
    """A generation and when it was first carried out in full (monotonic seconds)."""

    def to_json(self) -> dict[str, Any]:
        """The wire form, which `parse_saved` reads."""
        progress = self.progress
        return {
            "desired": _state_to_json(progress.desired),
            "fallback": _state_to_json(progress.fallback),
            "newest": _state_to_json(self.newest),
            "step": progress.step,
            "generation": progress.generation,
            "workers": progress.workers,
            "values": progress.values.to_json(),
            "settled": dict(progress.settled),
            "since": progress.since,
            "removedAt": progress.removed_at,
            "memoryBound": progress.memory_bound,
            "blocked": progress.blocked and progress.blocked.to_json(),
            "served": self.served,
            "applied": self.applied,
        }


def parse_saved(wire: Mapping[str, Any]) -> Saved:
    """What `to_json` wrote.

    Raises:
        InvalidDocument: somebody else has written it.
    """
    try:
        values = parse_values(wire["values"])
        assert values.workers is not None
        progress = Progress(
            desired=_parse_state(wire["desired"]),
            fallback=_parse_state(wire["fallback"]),
            step=wire["step"],
            generation=wire["generation"],
            workers=wire["workers"],
            values=complete(values, values.workers),
            settled=dict(wire["settled"]),
            since=wire["since"],
            removed_at=wire["removedAt"],
            memory_bound=wire["memoryBound"],
            blocked=wire["blocked"] and Refusal(**wire["blocked"]),
        )
        applied = wire["applied"] and (wire["applied"][0], wire["applied"][1])
        return Saved(progress, _parse_state(wire["newest"]), wire["served"], applied)
    except (KeyError, TypeError, AssertionError) as error:
        raise InvalidDocument(f"the saved progress is not what the agent writes: {error!r}") from error


def unreported(workers: Sequence[Worker], since: float) -> list[str]:
    """Whose last report is older than `since`, one phrase each: until there is none, nothing may change."""
    return [
        f"worker {worker.pid} has not reported since the agent was restarted"
        for worker in workers
        if worker.reported < since
    ]


def catch_up(progress: Progress, *, step: int | None, workers: int | None, now: float) -> Progress:
    """The progress where `step` and `workers` are what was really written: what is missing counts from `now`."""
    if step != progress.step:
        progress = replace(progress, since=now)
    if workers != progress.workers:
        progress = replace(progress, removed_at=now)
    return progress


def _state_to_json(state: DesiredState) -> dict[str, Any]:
    return {
        "generation": state.generation,
        "values": state.values.to_json(),
        "digest": state.digest,
        "traceparent": state.traceparent,
        "policy": state.policy,
        "routes": state.routes,
        "afterUncleanExit": state.after_unclean_exit,
    }


def _parse_state(wire: Mapping[str, Any]) -> DesiredState:
    return DesiredState(
        generation=wire["generation"],
        values=parse_values(wire["values"]),
        digest=wire["digest"],
        traceparent=wire["traceparent"],
        policy=wire["policy"],
        routes=tuple(wire["routes"]),
        after_unclean_exit=wire["afterUncleanExit"],
    )
