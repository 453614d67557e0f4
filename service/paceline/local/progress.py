"""What a person watching wants to know, gathered from the load, the pod and the operator. No clock, no terminal.

Times are seconds since the start, given by the caller.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from paceline.load.results import Window, merge
from paceline.local.pod import Running

HISTORY: Final = 600
"""Windows remembered, one a second."""
JUST_BEFORE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of the operator's output. `changes` is empty for a hold; `acked`: all pods run the generation."""

    reason: str
    message: str
    generation: int
    changes: tuple[Mapping[str, Any], ...]
    values: Mapping[str, Any]
    acked: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A change and when it was decided."""

    at: float
    decision: Decision
    p95_seconds: float | None
    """What clients saw just before it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What clients saw in about a second."""

    at: float
    window: Window
    outstanding: int


@dataclass(slots=True)
class Progress:
    """Fed by events; read by views."""

    rows: list[Row] = field(default_factory=list)
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=HISTORY))
    hold: Decision | None = None
    """Why nothing is changed at the moment."""
    running: Running | None = None
    first: Running | None = None
    """What ran before the first decision."""
    succeeded: int = 0
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    def sampled(self, at: float, window: Window, outstanding: int) -> None:
        """A second of load went by."""
        self.samples.append(Sample(at, window, outstanding))
        self.succeeded += window.succeeded
        for kind, count in window.failures.items():
            self.failures[kind] = self.failures.get(kind, 0) + count

    def reported(self, running: Running | None) -> None:
        """The pod was asked; None: it did not respond."""
        if running is not None:
            self.running = running
            self.first = self.first or running

    def decided(self, at: float, decision: Decision) -> None:
        """The operator said what it does and why; of a change it speaks twice, the second time when pods run it."""
        if not decision.changes:
            self.hold = decision
        elif self.rows and self.rows[-1].decision.generation == decision.generation:
            self.rows[-1] = replace(self.rows[-1], decision=decision)
        else:
            self.rows.append(Row(at, decision, self.p95_seconds(at - JUST_BEFORE_SECONDS, at)))
            self.hold = None

    def p95_seconds(self, since: float, until: float) -> float | None:
        """What clients saw between two times; None without a response."""
        return merge(sample.window for sample in self.samples if since < sample.at <= until).p95


def parse_decision(line: bytes) -> Decision | None:
    """One line of `paceline-operator local`; None if it is something else."""
    try:
        wire = orjson.loads(line)
        return Decision(
            reason=wire["reason"],
            message=wire["message"],
            generation=wire["generation"],
            changes=tuple(wire["changes"]),
            values=wire["values"],
            acked=wire["acked"],
        )
    except (ValueError, KeyError, TypeError):
        return None
