"""Did the demonstration show what it promises? Pure: a progress in, shortcomings and a summary out."""

from dataclasses import dataclass
from typing import Final

from paceline.durations import format_seconds
from paceline.local.progress import Progress

LEAST_DECISIONS: Final = 2
FINAL_SECONDS: Final = 20.0
"""The last stretch of the load: what it ended with."""
BUSY_SECONDS: Final = 0.05
"""A load generator that is later than this competes for the CPU with something else."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Before and after, and what is missing; no shortcomings: it did what it promises."""

    before_seconds: float | None
    after_seconds: float | None
    shortcomings: tuple[str, ...]
    interrupted: bool = False
    """Somebody stopped it: what it had not shown by then is nobody's failure."""


def judge(progress: Progress, objective_seconds: float, ended: float, *, interrupted: bool = False) -> Summary:
    """Judges a load that ended at `ended`: objective met at the end, decisions made, nothing failed."""
    first = progress.rows[0].at if progress.rows else ended
    before, after = progress.p95_seconds(0.0, first), progress.p95_seconds(ended - FINAL_SECONDS, ended)
    shortcomings = []
    if after is None:
        shortcomings.append(f"no request succeeded in the last {FINAL_SECONDS:.0f} s")
    elif after > objective_seconds:
        objective = format_seconds(objective_seconds)
        shortcoming = (
            f"p95 over the last {FINAL_SECONDS:.0f} s was {format_seconds(after)}; the objective is {objective}"
        )
        late = max(sample.window.late for sample in progress.samples if sample.at > ended - FINAL_SECONDS)
        busy = f" (this machine was busy: the load generator itself was up to {format_seconds(late)} late)"
        shortcomings.append(shortcoming + busy if late > BUSY_SECONDS else shortcoming)
    if len(progress.rows) < LEAST_DECISIONS:
        shortcomings.append(f"the operator made {_count(len(progress.rows), 'decision')}; at least 2 were expected")
    if progress.failed:
        kinds = ", ".join(f"{count} × {kind}" for kind, count in progress.failures.items())
        shortcomings.append(f"{_count(progress.failed, 'request')} failed: {kinds}")
    return Summary(before, after, tuple(shortcomings), interrupted)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number or 'no'} {what}s"
