"""Did the demonstration show what it promises? Pure: a board in, complaints and a summary out."""

from dataclasses import dataclass
from typing import Final

from paceline.durations import format_seconds
from paceline.local.board import Board

LEAST_DECISIONS: Final = 2
FINAL_SECONDS: Final = 20.0
"""The last stretch of the load: what it ended with."""
BUSY_SECONDS: Final = 0.05
"""A load generator that is later than this competes for the CPU with something else."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Before and after, and what is missing; no complaints: it did what it promises."""

    before_seconds: float | None
    after_seconds: float | None
    complaints: tuple[str, ...]


def judge(board: Board, objective_seconds: float, ended: float) -> Summary:
    """Judges a load that ended at `ended`: objective met at the end, decisions made, nothing failed."""
    first = board.rows[0].at if board.rows else ended
    before, after = board.p95_seconds(0.0, first), board.p95_seconds(ended - FINAL_SECONDS, ended)
    complaints = []
    if after is None:
        complaints.append(f"nothing was answered in the last {FINAL_SECONDS:.0f} s")
    elif after > objective_seconds:
        objective = format_seconds(objective_seconds)
        complaint = f"p95 of the last {FINAL_SECONDS:.0f} s is {format_seconds(after)}, objective {objective}"
        late = max(sample.window.late for sample in board.samples if sample.at > ended - FINAL_SECONDS)
        busy = f"; this machine was busy, the load itself was late by up to {format_seconds(late)}"
        complaints.append(complaint + busy if late > BUSY_SECONDS else complaint)
    if len(board.rows) < LEAST_DECISIONS:
        complaints.append(f"decisions: {len(board.rows)}, expected at least {LEAST_DECISIONS}")
    if board.failed:
        kinds = ", ".join(f"{count} × {kind}" for kind, count in board.failures.items())
        complaints.append(f"failed requests: {kinds}")
    return Summary(before, after, tuple(complaints))
