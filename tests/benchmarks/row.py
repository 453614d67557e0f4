"""One line of a result."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """Ours against theirs. `ratio` is made so that more is better, whatever the metric."""

    bench: str
    peer: str
    metric: str
    ours: float
    theirs: float
    ratio: float
    goal: float | None = None

    @property
    def met(self) -> bool | None:
        """None where there is no goal."""
        return None if self.goal is None else self.ratio >= self.goal

    def to_json(self) -> dict[str, Any]:
        return {
            "bench": self.bench,
            "peer": self.peer,
            "metric": self.metric,
            "ours": round(self.ours, 2),
            "theirs": round(self.theirs, 2),
            "ratio": round(self.ratio, 4),
            "goal": self.goal,
            "met": self.met,
        }
