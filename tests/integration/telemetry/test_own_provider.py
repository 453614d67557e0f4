"""An application that had telemetry before keeps it, and Paceline's joins it."""

from pathlib import Path

import orjson
from collector import StartCollector
from serving import StartPod, eventually


def test_a_provider_and_an_exporter_of_the_application(
    start_collector: StartCollector, start_traced: StartPod, tmp_path: Path
) -> None:
    collector, theirs = start_collector(), tmp_path / "spans"
    pod = start_traced(
        collector.endpoint,
        target="provided:app",
        PACELINE_TRACE_RATIO=1,
        PACELINE_REQUEST_ID="on",
        PACELINE_LOG_FORMAT="json",
        SPANS_FILE=theirs,
    )
    assert pod.get("/orders/7")[0] == 200
    eventually(lambda: len(collector.named("query")) == 1, "the collector has the application's own span")
    [line] = [line for line in map(orjson.loads, pod.stderr.splitlines()) if line["message"] == "order 7 is late"]
    pod.stop()

    [server] = [span for span in collector.spans if span.is_server]
    [query] = collector.named("query")
    assert (server.name, query.trace_id, query.parent_id) == ("GET /orders/{number}", server.trace_id, server.span_id)
    assert server.resource["service.name"] == "the-shop"
    assert theirs.read_text().splitlines() == [f"query|{server.trace_id}", f"GET /orders/{{number}}|{server.trace_id}"]
    assert (line["logger"], line["level"], line["customer"]) == ("shop.orders", "warning", "ada")
    assert (line["traceId"], line["spanId"]) == (server.trace_id, query.span_id)
    assert len(line["requestId"]) == 32
