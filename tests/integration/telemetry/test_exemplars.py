"""OpenMetrics joins what a pod counts to traces: whoever sees slow requests finds one of them."""

import http.client
from collections import Counter

from collector import StartCollector
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from serving import Served, StartPod, eventually

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def scraped(pod: Served, accept: str) -> tuple[str, str]:
    """Content type and text of /metrics."""
    connection = http.client.HTTPConnection("127.0.0.1", pod.management_port, timeout=30)
    connection.request("GET", "/metrics", headers={"Accept": accept})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    assert response.status == 200
    return response.headers["Content-Type"], text


def exemplars(pod: Served) -> dict[str, str]:
    """Trace by route."""
    kind, text = scraped(pod, OPENMETRICS)
    assert kind.startswith("application/openmetrics-text")
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    told = [each for each in samples if each.exemplar is not None]
    assert {each.name for each in told} <= {"http_server_request_duration_seconds_bucket"}
    assert not [each for each in told if each.exemplar.value > float(each.labels["le"])]
    return {each.labels["http_route"]: each.exemplar.labels["trace_id"] for each in told}


def test_slow_and_failed_requests_are_named_by_their_traces_and_others_not(
    start_collector: StartCollector, start_traced: StartPod
) -> None:
    collector = start_collector()
    pod = start_traced(collector.endpoint, PACELINE_TRACE_RATIO=0, PACELINE_TRACE_SLOW=0.3)
    asked = ("/slow", "/failed", "/raising")
    found = Counter(pod.get(path)[0] for path in (*asked, "/products/1"))
    assert found == {200: 2, 503: 1, 500: 1}

    eventually(lambda: len(collector.spans) >= len(asked), "the spans")
    eventually(lambda: exemplars(pod).keys() >= {*asked}, "the traces")
    exported = {span.attributes["http.route"]: span.trace_id for span in collector.spans if span.is_server}
    assert exemplars(pod) == exported
    kind, text = scraped(pod, "text/plain")
    assert kind.startswith("text/plain")
    assert "trace_id" not in text
