"""One line for each decision, of stable schema, for logs and for whoever watches the loop at work; and a span for each
verdict.

`{time, policy, generation, reason, message, changes, p95, values, acked, traceId}`: `p95` is in seconds, null where
nothing was measured; `values` are those after the decision; `acked` is whether all pods run the generation; `traceId`
is null where nothing is traced. The line of a change comes when its pods have acked, or when the wait for them is over.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from paceline_operator.core.model.decision import Decision
from paceline_operator.core.model.values import change_to_wire, values_to_wire
from paceline_operator.crd.document import TuningDocument
from paceline_operator.crd.measured import render_time
from paceline_operator.figures import Verdict
from paceline_operator.loop.report import Outcome
from paceline_operator.ports import PolicyKey, Tracer

logger = logging.getLogger("paceline_operator.decisions")

Journal: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Takes one line; must not block and must not raise."""


def logged(line: Mapping[str, Any]) -> None:
    """The journal of a cluster: the log, with the line's fields beside the text."""
    logger.info("%s %s: %s", line["policy"], line["reason"], line["message"], extra={"decision": dict(line)})


def decision_line(key: PolicyKey, outcome: Outcome, decision: Decision, now: datetime) -> Mapping[str, Any]:
    """The line of one decision."""
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
        "traceId": outcome.trace_id,
    }


def traced(tracer: Tracer, verdict: Verdict, judged: TuningDocument | None) -> None:
    """A span of the verdict, linked to the trace of the change; `judged` is the document that made it."""
    with tracer.span("verdict", reason=verdict.reason, outcome=verdict.outcome) as span:
        span.set(predicted_seconds=verdict.predicted_seconds, observed_seconds=verdict.observed_seconds)
        if judged is not None:
            span.set(generation=judged.generation)
            span.link(judged.traceparent)
