"""One line for each decision, of stable schema, for logs and for whoever watches the loop at work.

`{time, policy, generation, reason, message, changes, p95, values, acked}`: `p95` is in seconds, null where nothing was
measured; `values` are those after the decision; `acked` is whether all pods run the generation. A change gives two
lines: when it is decided, and when all pods run it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from paceline_operator.core.model import Decision
from paceline_operator.core.values import change_to_wire, values_to_wire
from paceline_operator.crd.memory import render_time
from paceline_operator.loop.report import Outcome
from paceline_operator.ports import PolicyKey

Journal: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Takes one line; must not block and must not raise."""


def silent(line: Mapping[str, Any]) -> None:
    """The journal of nobody."""


class Teller:
    """Turns what passes did into lines. Remembers only which change the pods have still to ack."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._open: dict[PolicyKey, tuple[int, Decision]] = {}

    def tell(self, key: PolicyKey, outcome: Outcome, now: datetime) -> None:
        """Each decision when it falls, and a change again when all pods run it."""
        fleet, decision = outcome.fleet, outcome.decision
        generation, unacked = self._open.get(key, (0, None))
        if decision is not None:
            self._journal(_line(key, outcome, decision, now))
        elif unacked is not None and fleet.converged and fleet.generation == generation:
            self._journal(_line(key, outcome, unacked, now))
        if outcome.applied and decision is not None and not fleet.converged:
            self._open[key] = fleet.generation, decision
        elif fleet.converged:
            self._open.pop(key, None)

    def forget(self, key: PolicyKey) -> None:
        """The policy is gone."""
        self._open.pop(key, None)


def _line(key: PolicyKey, outcome: Outcome, decision: Decision, now: datetime) -> Mapping[str, Any]:
    observation = outcome.thought.observation
    p95 = observation.p95 if observation else None
    return {
        "time": render_time(now),
        "policy": str(key),
        "generation": outcome.fleet.generation,
        "reason": decision.reason.value,
        "message": decision.message,
        "changes": [change_to_wire(change) for change in decision.changes],
        "p95": None if p95 is None else round(p95, 6),
        "values": values_to_wire(outcome.values),
        "acked": outcome.fleet.converged,
    }
