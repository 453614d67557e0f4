"""What docs/traces.md promises, asked of a real Jaeger about real processes, with its own commands."""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from documented import Page, p95_range, spans_of
from jaeger import Jaeger, jaeger
from paceline_operator.core.measure.histogram import Histogram
from serving import Served, StartPod, eventually

PAGE = Page("traces.md")
TRACE = "0af7651916cd43dd8448eb211c80319c"
ROUTE = "/working/{milliseconds}"
REQUESTS = "4. The requests under it, and before"


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Jaeger]:
    with jaeger(tmp_path) as running:
        yield running


def write(tuning: Path, generation: int) -> None:
    content = {
        "schema": "paceline.dev/tuning/v1",
        "generation": generation,
        "policy": "shop/api",
        "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
        "values": {"workers": 1, "pools": {}, "caches": {}},
    }
    fresh = tuning.with_suffix(".new")
    fresh.write_bytes(orjson.dumps(content))
    fresh.replace(tuning)


def ask_all(pod: Served, paths: Sequence[str]) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(pod.get, paths))


@pytest.mark.parametrize("ratio", [0, 0.05, 1], ids=["none-drawn", "5-percent-drawn", "all-drawn"])
def test_every_slow_and_every_failed_request_is_found_whatever_the_ratio(
    ratio: float, collector: Jaeger, start_traced: StartPod
) -> None:
    pod = start_traced(collector.otlp, PACELINE_TRACE_RATIO=ratio, PACELINE_TRACE_SLOW=0.3, OTEL_SERVICE_NAME="shop")
    paths = ["/slow"] * 30 + ["/failed"] * 20 + ["/raising"] * 20 + ["/products/1"] * 300
    random.Random(7).shuffle(paths)
    ask_all(pod, paths)

    def found(number: int) -> dict[str, int]:
        spans = spans_of(PAGE.ask("Trouble", number, JAEGER=collector.query, SERVICE="shop"), "shop")
        kept = [span["tags"] for span in spans if "paceline.outcome" in span["tags"]]
        return {path: sum(tags["url.path"] == path for tags in kept) for path in ("/slow", "/failed", "/raising")}

    eventually(lambda: found(0)["/slow"] == 30, "all slow requests")
    eventually(lambda: found(1) == {"/slow": 0, "/failed": 20, "/raising": 20}, "all failed requests")


def test_p95_of_each_generation_computed_from_spans_is_what_state_says(
    collector: Jaeger, start_traced: StartPod, tmp_path: Path
) -> None:
    tuning, before = tmp_path / "tuning.json", Histogram(20)
    pod = start_traced(collector.otlp, PACELINE_TRACE_RATIO=0.5, PACELINE_TUNING_FILE=tuning, OTEL_SERVICE_NAME="shop")
    for generation in (17, 18, 19):
        write(tuning, generation)
        eventually(lambda wanted=generation: pod.reports()[0]["generation"] == wanted, "the generation runs")
        # Longer work from generation to generation, so that mixing them up would show.
        rng, longest = random.Random(generation), (generation - 16) * 20
        ask_all(pod, [f"/working/{rng.uniform(0, longest):.1f}" for _ in range(500)])
        eventually(lambda wanted=generation: _counted(pod) == (wanted - 16) * 500, "all of them are counted")
        total = _durations(pod)
        measured, before = total.since(before), total

        durations = eventually(lambda wanted=generation: _drawn(collector, wanted), "spans of the generation")
        low, high = p95_range(durations)
        p95 = measured.quantile(0.95)
        assert p95 is not None
        assert low / 1.05 <= p95 <= high * 1.05, (
            f"generation {generation}: {low} ≤ {p95} ≤ {high}, {len(durations)} spans"
        )


def test_the_response_of_a_pod_to_a_decision_is_found_by_its_generation_and_linked(
    collector: Jaeger, start_traced: StartPod, tmp_path: Path
) -> None:
    tuning = tmp_path / "tuning.json"
    pod = start_traced(collector.otlp, PACELINE_TUNING_FILE=tuning, OTEL_SERVICE_NAME="shop")
    for generation in (17, 18):
        write(tuning, generation)
        eventually(lambda wanted=generation: pod.reports()[0]["generation"] == wanted, "the generation runs")

    def answers() -> list[dict[str, Any]]:
        variables = {"JAEGER": collector.query, "SERVICE": "shop", "GENERATION": 18}
        return spans_of(PAGE.ask("3. What the pods did with it", **variables), "shop")

    span = eventually(answers, "the span config.applied")[0]
    assert span["tags"]["paceline.policy"] == "shop/api"
    assert [(link["refType"], link["traceID"]) for link in span["references"]] == [("FOLLOWS_FROM", TRACE)]
    assert not span["warnings"], "Jaeger finds nothing wrong with it"


def test_a_service_that_calls_another_is_an_edge_of_the_map(
    collector: Jaeger, start_traced: StartPod, tmp_path: Path
) -> None:
    back = start_traced(collector.otlp, OTEL_SERVICE_NAME="back", PACELINE_TRACE_RATIO=1)
    front = start_traced(
        collector.otlp, OTEL_SERVICE_NAME="front", PACELINE_TRACE_RATIO=1, BACK=f"http://127.0.0.1:{back.port}"
    )
    ask_all(front, ["/calling"] * 5)

    def edges() -> set[tuple[str, str]]:
        return {
            (edge["parent"], edge["child"]) for edge in PAGE.ask("Which service calls which", JAEGER=collector.query)
        }

    eventually(lambda: ("front", "back") in edges(), "the edge of the service map")


def test_the_page_hides_no_command_from_these_tests() -> None:
    assert sum(map(len, PAGE.commands.values())) == 10


def _durations(pod: Served) -> Histogram:
    return next(
        Histogram.from_wire(one["duration"]) for one in pod.state()["requests"] if one["group"] == f"GET {ROUTE}"
    )


def _counted(pod: Served) -> int:
    return sum(one["count"] for one in pod.state()["requests"] if one["group"] == f"GET {ROUTE}")


def _drawn(collector: Jaeger, generation: int) -> list[float]:
    """Seconds of the drawn requests of a generation, in order, once there are enough; else nothing."""
    command = {"JAEGER": collector.query, "SERVICE": "shop", "GENERATION": generation, "ROUTE": ROUTE}
    spans = spans_of(PAGE.ask(REQUESTS, **command), "shop")
    found = [span for span in spans if "paceline.sampled" not in span["tags"]]
    return sorted(span["duration"] / 1e6 for span in found) if len(found) > 180 else []
