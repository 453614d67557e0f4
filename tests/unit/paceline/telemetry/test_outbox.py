"""The outbox: bounded, counted, and never in the way, whatever the collector does."""

import threading
import time
from collections.abc import Iterator, Sequence
from threading import Event
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, TraceFlags
from paceline.telemetry.outbox import SpanOutbox
from serving import eventually

QUEUE = 32
BATCH = 8


class Collector(SpanExporter):
    """Takes spans, refuses them, raises, or hangs until `answer` is set."""

    def __init__(self, behaviour: str) -> None:
        self.behaviour = behaviour
        self.answer = Event()
        self.asked = Event()
        self.got: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        if self.behaviour == "hangs":
            self.answer.wait()
        if self.behaviour == "raises":
            raise OSError("no route")
        if self.behaviour == "refuses":
            return SpanExportResult.FAILURE
        self.got += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.answer.set()


def span(*, sampled: bool = True) -> ReadableSpan:
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return ReadableSpan("GET", SpanContext(1, 2, False, flags), resource=Resource.get_empty())


@pytest.fixture
def outboxes() -> Iterator[Any]:
    made: list[SpanOutbox] = []

    def make(collector: Collector) -> SpanOutbox:
        made.append(SpanOutbox(collector, max_queue_size=QUEUE, max_batch_size=BATCH))
        return made[-1]

    yield make
    for each in made:
        each.shutdown(0.1)


def test_what_is_put_in_arrives(outboxes: Any) -> None:
    collector = Collector("takes")
    outbox = outboxes(collector)
    for _ in range(5):
        outbox.on_end(span())
    outbox.shutdown()
    assert len(collector.got) == 5
    assert (outbox.exported, outbox.dropped, outbox.waiting) == (5, 0, 0)


def test_a_span_that_is_not_sampled_is_left_out_and_not_counted(outboxes: Any) -> None:
    collector = Collector("takes")
    outbox = outboxes(collector)
    outbox.on_end(span(sampled=False))
    outbox.shutdown()
    assert (len(collector.got), outbox.exported, outbox.dropped) == (0, 0, 0)


@pytest.mark.parametrize("behaviour", ["refuses", "raises"])
def test_what_the_collector_does_not_take_counts_as_dropped(behaviour: str, outboxes: Any) -> None:
    outbox = outboxes(Collector(behaviour))
    for _ in range(5):
        outbox.on_end(span())
    outbox.shutdown()
    assert (outbox.exported, outbox.dropped) == (0, 5)


def test_a_collector_that_hangs_costs_a_bounded_queue_and_no_time(outboxes: Any) -> None:
    collector = Collector("hangs")
    outbox = outboxes(collector)
    for _ in range(BATCH):
        outbox.on_end(span())
    assert collector.asked.wait(30)
    for _ in range(10_000):
        outbox.on_end(span())
    assert outbox.waiting == QUEUE
    assert outbox.dropped == 10_000 - QUEUE

    collector.answer.set()
    outbox.force_flush()
    assert outbox.exported == BATCH + QUEUE, "what had found room was delivered"


def test_shutdown_leaves_a_hanging_collector_behind(outboxes: Any) -> None:
    collector = Collector("hangs")
    outbox = outboxes(collector)
    outbox.on_end(span())
    started = time.monotonic()
    outbox.shutdown(0.2)
    assert time.monotonic() - started < 15, "the SDK's own shutdown would wait for 30 s"


def test_after_shutdown_spans_are_ignored_and_no_thread_is_left(outboxes: Any) -> None:
    before = set(threading.enumerate())
    outbox = outboxes(Collector("takes"))
    assert len(set(threading.enumerate()) - before) == 1
    outbox.shutdown()
    outbox.shutdown()
    outbox.on_end(span())
    assert outbox.exported == 0
    eventually(lambda: not set(threading.enumerate()) - before, "no thread is left")
