"""What docs/traces.md promises, in a cluster under load: decisions, pods' answers and requests, found in Jaeger."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from background_load import BackgroundLoad
from documented import Page, p95_range, spans_of
from paceline_operator.core.measure.histogram import Histogram, merge
from release import ROOT, Pinned, Release, new_release, settings_for
from serving import free_ports
from testcluster import Cluster, until

PAGE = Page("traces.md")
SERVICE, OPERATOR, ROUTE = "paceline-service", "paceline-operator", "/products"
DISTANCE_SECONDS, SLOW_SECONDS = 0.1, 0.08
"""Every request to ROUTE takes the first, so each of them counts as slow."""
REQUESTS_EACH = 300


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    made = new_release(cluster, "traces")
    cluster.apply(made.namespace, *_jaeger())
    made.install(
        *settings_for(made.namespace),
        "telemetry.otlpEndpoint=http://jaeger:4318",
        "telemetry.sampleRatio=0.5",
        f"service.env.API_SIMULATED_DISTANCE_SECONDS={DISTANCE_SECONDS}",
        f"service.env.PACELINE_TRACE_SLOW={SLOW_SECONDS}",
        "service.env.OTEL_BSP_SCHEDULE_DELAY=1000",
        "operator.env.OTEL_BSP_SCHEDULE_DELAY=1000",
    )
    made.kubectl("rollout", "status", "deployment/jaeger", "--timeout=180s")
    yield made
    made.uninstall()
    cluster.delete_namespace(made.namespace)


def _jaeger() -> list[dict[str, Any]]:
    """What users apply, with the image that this cluster has."""
    objects = list(yaml.safe_load_all((ROOT / "k8s" / "dev" / "jaeger.yaml").read_text()))
    deployment = next(each for each in objects if each["kind"] == "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["image"] = os.environ.get("PACELINE_TEST_JAEGER_IMAGE", container["image"])
    return objects


@dataclass(frozen=True)
class Reader:
    """Somebody who follows the page, command by command."""

    release: Release
    jaeger: str
    kubeconfig: Path

    def ask(self, heading: str, number: int = 0, **variables: object) -> list[dict[str, Any]]:
        known = {"JAEGER": self.jaeger, "SERVICE": SERVICE, "OPERATOR": OPERATOR, "ROUTE": ROUTE}
        return PAGE.ask(heading, number, **known, **variables)

    def decisions(self) -> dict[int, str]:
        """The trace of each decision by its generation, as the page's kubectl command prints them."""
        lines = PAGE.run("1. The decision", KUBECONFIG=self.kubeconfig).splitlines()
        return {int(line.split()[0]): line.split()[1] for line in lines}


@pytest.fixture
def reader(release: Release, tmp_path: Path) -> Iterator[Reader]:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(release.kubectl("config", "view", "--raw", "--minify"))
    where = ("--kubeconfig", str(kubeconfig))
    release.kubectl("config", "set-context", "--current", "--namespace", release.namespace, *where)
    with forwarded(release, "service/jaeger", 16686) as address:
        yield Reader(release, address, kubeconfig)


@contextmanager
def forwarded(release: Release, what: str, port: int) -> Iterator[str]:
    """`kubectl port-forward` to a free port of this machine, until the block ends."""
    local = free_ports(1)[0]
    command = ["kubectl", "--namespace", release.namespace, "port-forward", what, f"{local}:{port}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            until(lambda: _answers(f"http://127.0.0.1:{local}/"), 30, f"{what} answers")
            yield f"http://127.0.0.1:{local}"
        finally:
            process.terminate()


def test_a_change_is_followed_from_the_decision_to_its_requests(release: Release, reader: Reader) -> None:
    release.converge(Pinned(workers=1, postgres=5, ttl_seconds=60))
    measured: dict[int, Histogram] = {}
    begun = time.time()
    with forwarded(release, "service/paceline-service", 80) as api:
        with BackgroundLoad({f"{api}{ROUTE}": 25}) as load:
            for values in (Pinned(2, 4, 30), Pinned(1, 8, 45)):
                release.converge(values)
                before = _durations(release)
                until(lambda b=before: _counted(release, b) >= REQUESTS_EACH, 60, "requests under the generation")
                measured[release.generation()] = _durations(release).since(before)
        succeeded = load.summaries[0].total.succeeded
        load.assert_nothing_failed()

    traces = until(lambda: _complete(reader.decisions(), set(measured)), 60, "traced decisions")
    for generation, histogram in measured.items():
        _the_decision_and_its_responses_are_there(release, reader, generation, traces[generation])
        _the_spans_agree_with_state(reader, generation, histogram)

    def slow() -> int:
        spans = spans_of(reader.ask("Trouble"), SERVICE)
        kept = [span["tags"] for span in spans if span["startTime"] / 1e6 >= begun]
        return sum(tags.get("http.route") == ROUTE and tags.get("paceline.outcome") == "slow" for tags in kept)

    until(lambda: slow() == succeeded, 60, f"all {succeeded} slow requests, drawn or not; there are {slow()}")


def test_every_failed_request_is_there(release: Release, reader: Reader) -> None:
    release.kubectl("scale", "deployment/paceline-valkey", "--replicas=0")
    release.kubectl("wait", "pod", "--selector=app.kubernetes.io/component=valkey", "--for=delete", "--timeout=60s")
    begun = time.time()
    with forwarded(release, "service/paceline-service", 80) as api:
        statuses = [_status(f"{api}/cache/gone-{number}") for number in range(20)]
    release.kubectl("scale", "deployment/paceline-valkey", "--replicas=1")
    assert set(statuses) == {503}

    def failed() -> set[str]:
        spans = spans_of(reader.ask("Trouble", 1), SERVICE)
        requests = [span["tags"] for span in spans if span["startTime"] / 1e6 >= begun and "url.path" in span["tags"]]
        return {tags["url.path"] for tags in requests}

    until(lambda: failed() >= {f"/cache/gone-{number}" for number in range(20)}, 30, "all failed requests")


def _the_decision_and_its_responses_are_there(release: Release, reader: Reader, generation: int, trace: str) -> None:
    how = "2. How it was made"
    steps = {"reconcile", "observe", "decide", "apply", "propagate"}

    def names() -> set[str]:
        return {span["operationName"] for span in spans_of(reader.ask(how, TRACE_ID=trace), OPERATOR)}

    def mine() -> set[str]:
        return {one["traceID"] for one in reader.ask(how, 1, POLICY=f"{release.namespace}/api")}

    def answers_of_pods() -> list[dict[str, Any]]:
        return spans_of(reader.ask("3. What the pods did with it", GENERATION=generation), SERVICE)

    until(lambda: names() >= steps, 60, "the steps of the decision")
    until(lambda: trace in mine(), 60, "the decision among those of its policy")
    answers = until(answers_of_pods, 60, "what the pods did with it")
    assert {link["traceID"] for span in answers for link in span["references"]} == {trace}
    assert all(span["tags"]["paceline.policy"] == f"{release.namespace}/api" for span in answers)


def _the_spans_agree_with_state(reader: Reader, generation: int, histogram: Histogram) -> None:
    def drawn() -> list[float]:
        spans = spans_of(reader.ask("4. The requests under it, and before", GENERATION=generation), SERVICE)
        return sorted(span["duration"] / 1e6 for span in spans if "paceline.sampled" not in span["tags"])

    durations = until(lambda: found if len(found := drawn()) >= REQUESTS_EACH / 3 else None, 60, "drawn requests")
    low, high = p95_range(durations)
    p95 = histogram.quantile(0.95)
    assert p95 is not None
    assert low / 1.1 <= p95 <= high * 1.1, f"generation {generation}: {low} ≤ {p95} ≤ {high} of {len(durations)} spans"


def _durations(release: Release) -> Histogram:
    """Of ROUTE, over all pods since their start."""
    groups = [one for state in release.answers().values() for one in state["requests"]]
    return merge(Histogram.from_wire(one["duration"]) for one in groups if one["group"] == f"GET {ROUTE}")


def _counted(release: Release, before: Histogram) -> int:
    return _durations(release).count - before.count


def _complete(decisions: dict[int, str], generations: set[int]) -> dict[int, str] | None:
    return decisions if generations <= decisions.keys() else None


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def _answers(url: str) -> bool:
    try:
        return _status(url) > 0
    except (OSError, json.JSONDecodeError):
        return False
