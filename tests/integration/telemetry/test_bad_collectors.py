"""A collector that refuses, hangs or is not there costs spans, never requests, memory or a timely end."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from collector import StartCollector
from paceline.settings import OpenTelemetrySettings, Settings
from paceline.telemetry.pipeline import SpanPipeline
from paceline.telemetry.tracing import Tracing
from serving import StartPod, eventually, free_ports

PATIENT_SECONDS = 600
"""What an export may take: whoever waited for one would wait longer than any deadline here."""
SDK_SECONDS = 30.0
"""How long the SDK's own shutdown waits for a collector that hangs."""


def endpoint_of(kind: Any, start_collector: StartCollector) -> str:
    if kind == "absent":
        return f"http://127.0.0.1:{free_ports(1)[0]}"
    return start_collector(kind).endpoint


@pytest.mark.parametrize("kind", ["refuses", "hangs", "absent"])
def test_requests_and_the_end_of_the_pod_are_unaffected(
    kind: str, start_collector: StartCollector, start_traced: StartPod
) -> None:
    pod = start_traced(
        endpoint_of(kind, start_collector),
        PACELINE_TRACE_RATIO=1,
        OTEL_BSP_MAX_QUEUE_SIZE=64,
        OTEL_EXPORTER_OTLP_TIMEOUT=PATIENT_SECONDS,
    )
    with ThreadPoolExecutor(8) as threads:
        responses = Counter(status for status, _ in threads.map(pod.get, ["/products/1"] * 400))
    assert responses == {200: 400}
    assert pod.stop() == 0, "as without tracing, plus two seconds at most"


@pytest.mark.parametrize("kind", ["refuses", "hangs"])
def test_memory_stays_flat_and_the_metric_tells_the_loss(
    kind: str, start_collector: StartCollector, start_traced: StartPod
) -> None:
    pod = start_traced(endpoint_of(kind, start_collector), PACELINE_TRACE_RATIO=1, OTEL_BSP_MAX_QUEUE_SIZE=64)
    worker = psutil.Process(pod.reports()[0]["pid"])

    def ask(count: int) -> int:
        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(pod.get, ["/products/1"] * count)) == {(200, b'{"number":1}')}
        return int(worker.memory_full_info().uss)

    warm = ask(600)
    grown = ask(3000) - warm
    # 3000 finished spans are some 6 MB.
    assert grown < 2 << 20, f"{grown} bytes more after 3000 requests"

    def told() -> bool:
        lost = pod.state()["spans"]["dropped"]
        metrics = pod.get("/metrics", pod.management_port)[1].decode()
        return lost > 0 and f"paceline_spans_dropped_total {float(lost)}" in metrics

    eventually(told, "the loss is counted")


@pytest.mark.parametrize("kind", ["refuses", "hangs", "absent"])
def test_shutdown_waits_for_no_collector_and_counts_what_is_lost(
    kind: str, start_collector: StartCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint_of(kind, start_collector))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(PATIENT_SECONDS))
    settings = Settings(opentelemetry=OpenTelemetrySettings(bsp_max_queue_size=8, bsp_max_export_batch_size=4))
    pipeline = SpanPipeline(settings, 7)
    tracing = Tracing(settings.telemetry, pipeline)
    for generation in range(100):
        tracing.config_applied(generation=generation, policy="shop/api", old={}, new={}, traceparent=None)
        assert pipeline.export_queue.waiting <= 8
    started = time.monotonic()
    tracing.shutdown()
    assert time.monotonic() - started < SDK_SECONDS / 2
    assert tracing.exported == 0
    assert tracing.dropped >= 100 - 8 - 4, "all but what still waits or is on its way"
