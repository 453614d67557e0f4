"""The export_queue: bounded, counted, and never in the way, whatever the collector does."""

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
from paceline.telemetry.export_queue import SpanExportQueue
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
def export_queues() -> Iterator[Any]:
    made: list[SpanExportQueue] = []

    def make(collector: Collector) -> SpanExportQueue:
        made.append(SpanExportQueue(collector, max_queue_size=QUEUE, max_batch_size=BATCH))
        return made[-1]

    yield make
    for each in made:
        each.shutdown(0.1)


def test_what_is_put_in_arrives(export_queues: Any) -> None:
    collector = Collector("takes")
    export_queue = export_queues(collector)
    for _ in range(5):
        export_queue.on_end(span())
    export_queue.shutdown()
    assert len(collector.got) == 5
    assert (export_queue.exported, export_queue.dropped, export_queue.waiting) == (5, 0, 0)


def test_a_span_that_is_not_sampled_is_left_out_and_not_counted(export_queues: Any) -> None:
    collector = Collector("takes")
    export_queue = export_queues(collector)
    export_queue.on_end(span(sampled=False))
    export_queue.shutdown()
    assert (len(collector.got), export_queue.exported, export_queue.dropped) == (0, 0, 0)


@pytest.mark.parametrize("behaviour", ["refuses", "raises"])
def test_what_the_collector_does_not_take_counts_as_dropped(behaviour: str, export_queues: Any) -> None:
    export_queue = export_queues(Collector(behaviour))
    for _ in range(5):
        export_queue.on_end(span())
    export_queue.shutdown()
    assert (export_queue.exported, export_queue.dropped) == (0, 5)


def test_a_collector_that_hangs_costs_a_bounded_queue_and_no_time(export_queues: Any) -> None:
    collector = Collector("hangs")
    export_queue = export_queues(collector)
    for _ in range(BATCH):
        export_queue.on_end(span())
    assert collector.asked.wait(30)
    for _ in range(10_000):
        export_queue.on_end(span())
    assert export_queue.waiting == QUEUE
    assert export_queue.dropped == 10_000 - QUEUE

    collector.answer.set()
    export_queue.force_flush()
    assert export_queue.exported == BATCH + QUEUE, "what had found room was delivered"


def test_shutdown_leaves_a_hanging_collector_behind(export_queues: Any) -> None:
    collector = Collector("hangs")
    export_queue = export_queues(collector)
    export_queue.on_end(span())
    started = time.monotonic()
    export_queue.shutdown(0.2)
    assert time.monotonic() - started < 15, "the SDK's own shutdown would wait for 30 s"


def test_after_shutdown_spans_are_ignored_and_no_thread_is_left(export_queues: Any) -> None:
    before = set(threading.enumerate())
    export_queue = export_queues(Collector("takes"))
    assert len(set(threading.enumerate()) - before) == 1
    export_queue.shutdown()
    export_queue.shutdown()
    export_queue.on_end(span())
    assert export_queue.exported == 0
    eventually(lambda: not set(threading.enumerate()) - before, "no thread is left")
