"""A change can be followed through the traces: who decided, which pod applied it, which requests ran under it."""

from typing import Any

from background_load import BackgroundLoad
from otlp_receiver import NAME
from release import Pinned, Release
from testcluster import until

Spans = list[dict[str, Any]]


def received(release: Release, service: str, name: str | None = None) -> Spans:
    path = f"/api/v1/namespaces/{release.namespace}/pods/{NAME}:4318/proxy/spans"
    spans: Spans = release.cluster.read(path) or []
    return [span for span in spans if span["service"] == service and name in {None, span["name"]}]


def generation_of(span: dict[str, Any]) -> int:
    return int(span["attributes"].get("paceline.generation", -1))


def applied(release: Release, generation: int) -> Spans:
    spans = received(release, "paceline-service", "config.applied")
    return [span for span in spans if generation_of(span) == generation]


def served(release: Release, generation: int) -> Spans:
    spans = received(release, "paceline-service")
    return [span for span in spans if span["kind"] == "SPAN_KIND_SERVER" and generation_of(span) == generation]


def test_pods_answer_a_decision_with_a_span_that_is_linked_to_it(release: Release, load: BackgroundLoad) -> None:
    release.converge(Pinned(workers=1, postgres=5, ttl_seconds=60))
    with load:
        release.converge(Pinned(workers=2, postgres=4, ttl_seconds=30))
        generation = next(state["tuning"]["generation"] for state in release.states().values() if state)
        pods = {pod["metadata"]["name"] for pod in release.pods()}
        until(lambda: {span["pod"] for span in applied(release, generation)} == pods, 30, f"all of {pods} applied it")
        until(lambda: served(release, generation), 60, "requests carry the generation that they ran under")

    def decided() -> set[str]:
        return {span["trace"] for span in received(release, "paceline-operator", "reconcile")}

    spans = applied(release, generation)
    links = {link for span in spans for link in span["links"]}
    assert all(span["links"] for span in spans)
    until(lambda: links <= decided(), 30, f"the operator's traces {links}")
    assert not {span["trace"] for span in spans} & decided(), "linked, not a part of it"
