"""The trace of a pass tells what was seen, what it was chosen from, who acked, and later what became of it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
import pytest_asyncio
from modelled_fleet import CHOOSING, KEY, ModelledFleet, Service, start_values
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.settings import OperatorSettings
from paceline_operator.telemetry.tracing import OtlpTracer

Spans = Sequence[ReadableSpan]


@pytest.fixture
def fleet() -> ModelledFleet:
    """Its first window misses the objective with queues that are not full: a model tells what two workers more gain."""
    service = Service(requests_per_second=80, cpu_seconds=0.0105, query_seconds=0.002)
    return ModelledFleet(CHOOSING, service=service, start=start_values(workers=2, postgres=3))


@pytest_asyncio.fixture
async def spans(fleet: ModelledFleet) -> AsyncIterator[Callable[[float], Awaitable[Spans]]]:
    """Runs the loop for some seconds of the fleet's time; all the spans that there are by then."""
    exporter = InMemorySpanExporter()
    tracer = OtlpTracer(exporter, instance="operator")
    settings = OperatorSettings(ack_poll_seconds=0.001, ack_wait_seconds=0.005)
    reconciler = Reconciler(
        fleet, fleet, now=lambda: fleet.now, settings=settings, tracer=tracer, journal=lambda line: None
    )

    async def run(seconds: float) -> Spans:
        for _ in range(round(seconds)):
            await reconciler.reconcile(KEY)
            fleet.pass_time(1)
        tracer.flush()
        return exporter.get_finished_spans()

    yield run
    tracer.shutdown()


def of(spans: Spans, name: str) -> list[dict[str, object]]:
    return [
        {key.removeprefix("paceline."): value for key, value in (span.attributes or {}).items()}
        for span in spans
        if span.name == name
    ]


async def test_a_decision_shows_the_figures_that_it_rests_on(spans: Callable[[float], Awaitable[Spans]]) -> None:
    decisions = of(await spans(20), "decide")

    (grown, *_) = [each for each in decisions if each.get("reason") == "LoopLagHigh"]
    assert isinstance(grown["p95_seconds"], float)
    assert grown["p95_seconds"] > grown["objective_seconds"] == 0.045
    assert {"requests", "error_ratio", "loop_lag_p95_seconds", "message"} <= grown.keys()
    assert "pool_wait_p99_seconds.postgres" in grown
    candidates = grown["candidates"]
    assert isinstance(candidates, tuple)
    assert len(candidates) == 3
    assert all("workers " in str(each) and " predicted, cost " in str(each) for each in candidates)


async def test_what_is_seen_names_who_is_left_out(
    fleet: ModelledFleet, spans: Callable[[float], Awaitable[Spans]]
) -> None:
    fleet.silent.add(fleet.pods[0].uid)
    (first, *_) = of(await spans(1), "observe")

    total = len(fleet.pods)
    assert (first["pods"], first["reporting"]) == (total, total - 1)
    assert first["coverage"] == pytest.approx((total - 1) / total, abs=0.001)
    (left_out,) = first["left_out"]  # type: ignore[misc]
    assert fleet.pods[0].uid in str(left_out)


async def test_acks_are_events_and_the_verdict_is_linked_to_the_change(
    fleet: ModelledFleet, spans: Callable[[float], Awaitable[Spans]]
) -> None:
    seen = await spans(40)

    (changed, *_) = [span for span in seen if span.name == "apply"]
    (propagate,) = [
        span for span in seen if span.name == "propagate" and span.context.trace_id == changed.context.trace_id
    ]
    assert [event.name for event in propagate.events] == ["ack"] * len(fleet.pods)
    assert {str(event.attributes["paceline.pod"]) for event in propagate.events if event.attributes}
    (verdict, *_) = [span for span in seen if span.name == "verdict"]
    assert [link.context.trace_id for link in verdict.links] == [changed.context.trace_id]
    (told, *_) = of(seen, "verdict")
    assert told["outcome"] == "kept"
    assert told["reason"] in [each.get("reason") for each in of(seen, "decide")]
    assert told["observed_seconds"]
    assert told["predicted_seconds"]


async def test_an_event_names_the_trace_of_its_decision(
    spans: Callable[[float], Awaitable[Spans]], fleet: ModelledFleet
) -> None:
    found = await spans(20)

    traces = {f"{span.context.trace_id:032x}" for span in found if span.name == "apply" and span.context}
    named = [note.rpartition(" (trace ")[2].rstrip(")") for note in fleet.notes]
    assert traces
    assert {*named} == traces
