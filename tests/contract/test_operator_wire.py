"""The operator's end of every document: what it writes the runtime reads, and what the runtime writes it reads."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from modelled_fleet import KEY, ModelledFleet, ModelPod, Service, start_values
from paceline.document.model import parse_document as runtime_parses
from paceline.document.tunables import AdmissionValues
from paceline.resources.cache.cache import Cache
from paceline.resources.cache.plain import Plain
from paceline.resources.cache.redis import RedisTier
from paceline.telemetry.histogram import Histogram as RuntimeHistogram
from paceline_operator.core.measure.histogram import Histogram
from paceline_operator.core.measure.pods import Degraded, Lookups
from paceline_operator.core.model.tunables import ADMISSION_MAX, ADMISSION_MIN, ADMISSION_P95, WORKERS, cache, pool
from paceline_operator.crd.document import build_document, digest, parse_document
from paceline_operator.errors import InvalidState
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.settings import OperatorSettings
from paceline_operator.telemetry.state import parse_state

ROOT = Path(__file__).parents[2]
ADMISSION = {ADMISSION_MIN: 16, ADMISSION_MAX: 512, ADMISSION_P95: 0.045}
VALUES = {WORKERS: 4, pool("postgres"): 8, cache("responses"): 60, cache("short"): 0.5, **ADMISSION}


def schema(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((ROOT / "docs" / "schemas" / name).read_text()))


@pytest.mark.parametrize("traceparent", [None, "00-" + "a" * 32 + "-" + "b" * 16 + "-01"])
def test_the_runtime_reads_the_operators_document(traceparent: str | None) -> None:
    content = build_document(17, VALUES, "shop/api", traceparent)

    schema("tuning.v1.schema.json").validate(json.loads(content))
    read = runtime_parses(content)
    assert (read.generation, read.policy, read.traceparent) == (17, "shop/api", traceparent)
    assert read.values.workers == 4
    assert dict(read.values.pools) == {"postgres": 8}
    assert {name: each.ttl_seconds for name, each in read.values.caches.items()} == {"responses": 60, "short": 0.5}
    assert read.values.admission == AdmissionValues(16, 512, 0.045)
    assert read.digest == digest(content)


def test_the_operator_reads_its_own_document() -> None:
    content = build_document(17, VALUES, "shop/api")

    assert parse_document(content).values == VALUES
    assert parse_document(content).digest == digest(content)
    assert content == build_document(17, dict(reversed(VALUES.items())), "shop/api")


def test_single_pods_get_what_differs_and_the_common_values_for_the_rest() -> None:
    content = build_document(17, VALUES, "shop/api", overrides={"uid-b": {WORKERS: 5}, "uid-a": {pool("postgres"): 7}})

    schema("tuning.v1.schema.json").validate(json.loads(content))
    assert parse_document(content).values == VALUES
    assert parse_document(content).overrides == {"uid-a": {pool("postgres"): 7}, "uid-b": {WORKERS: 5}}
    read = runtime_parses(content)
    found = {uid: read.values_for(uid) for uid in ("uid-a", "uid-b", "another")}
    assert {uid: (each.workers, each.pools["postgres"]) for uid, each in found.items()} == {
        "uid-a": (4, 7),
        "uid-b": (5, 8),
        "another": (4, 8),
    }
    assert all(each.caches == read.values.caches for each in found.values())
    assert all(each.admission == read.values.admission for each in found.values())


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"schema": "x", "generation": 1, "values": {}}', b"\xff"])
def test_what_is_no_document_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidState, match="stored tuning document"):
        parse_document(content)


def test_the_operator_reads_a_state_of_the_schema() -> None:
    pod = ModelPod("pod", start_values(3, 5), start_values())
    wire = json.loads(json.dumps(pod.state(Service())))
    wire["tuning"]["clamped"] = [{"tunable": "workers", "asked": 8, "granted": 3, "by": "memory"}]
    wire["values"]["admission"] = {"min": 16, "max": 512, "p95Seconds": 0.045}
    wire["admission"] = {
        "limit": 96, "min": 16, "max": 512, "inFlight": 9, "rejected": 77, "braked": 1, "reason": "brake",
    }  # fmt: skip
    wire["unregistered"] = [{"address": "10.0.0.7:5432", "connections": 3}]
    wire["degraded"] = [{"task": "tuning", "error": "PoolError: no", "since": "2026-11-30T00:00:00+00:00", "pid": 8}]
    schema("state.v1.schema.json").validate(wire)

    state = parse_state(wire)

    assert state.degraded == (Degraded("tuning", "PoolError: no"),)
    assert parse_state({key: value for key, value in wire.items() if key != "degraded"}).degraded == ()
    assert state.values[WORKERS] == 3
    assert state.values[pool("postgres")] == 5
    assert {name: state.values[name] for name in ADMISSION} == ADMISSION
    assert state.turned_away == 77
    assert state.uid == "pod"
    assert state.start_values[WORKERS] == 1
    assert state.clamped == {"workers": "asked 8, granted 3, by memory"}
    assert state.unregistered == ("10.0.0.7:5432",)
    assert state.understands


async def test_the_operator_reads_what_a_cache_counts() -> None:
    pod, wall = ModelPod("pod", start_values(), start_values()), [0.0]
    nowhere = RedisTier("responses", lambda: None, Plain)
    kept = Cache("responses", 60, redis=nowhere, max_staleness_seconds=60, clock=lambda: wall[0])

    async def fetch() -> str:
        return "answer"

    for wall[0] in (0.0, 30.0, 90.0):
        await kept.get("k", fetch)
    wire = {**pod.state(Service()), "caches": {"responses": kept.report()}}
    schema("state.v1.schema.json").validate(wire)
    counters = parse_state(json.loads(json.dumps(wire))).caches["responses"]

    assert counters.lookups == Lookups(hits=1, misses=2), "a stale hit fetches, too"
    assert counters.ghosts[60] == counters.lookups
    assert (counters.ghosts[30], counters.ghosts[300]) == (Lookups(0, 3), Lookups(2, 1))


@pytest.mark.parametrize("missing", ["tuning", "values", "loopLag", "cpu", "uptimeSeconds", "schema"])
def test_a_state_without_a_required_field_is_refused(missing: str) -> None:
    wire = ModelPod("pod", start_values(), start_values()).state(Service())
    del wire[missing]

    with pytest.raises(InvalidState, match=f"lacks the field .{missing}"):
        parse_state(wire)


@pytest.mark.parametrize("figure", [float("nan"), float("inf"), -1.0])
def test_a_figure_that_nobody_can_have_measured_is_refused(figure: float) -> None:
    wire = ModelPod("pod", start_values(), start_values()).state(Service())
    wire["cpu"]["usageSeconds"] = figure

    with pytest.raises(InvalidState, match="no measurement"):
        parse_state(wire)


def test_a_runtime_of_another_time_is_told_apart() -> None:
    wire = ModelPod("pod", start_values(), start_values()).state(Service())

    assert not parse_state({**wire, "accepts": ["tuning/v9"]}).understands
    with pytest.raises(InvalidState, match="state/v2"):
        parse_state({**wire, "schema": "paceline.dev/state/v2"})


def test_histograms_mean_the_same_on_both_sides() -> None:
    runtime = RuntimeHistogram()
    for value in (0.010, 0.010, 0.020, 0.0):
        runtime.record(value)

    read = Histogram.from_wire(runtime.to_json())

    assert (read.count, read.zero_count) == (4, 1)
    assert read.quantile(0.99) == pytest.approx(0.020, rel=0.03)


def _known_fields_only(node: Any) -> Any:
    """The CRD's schema with what the API server would prune forbidden."""
    if isinstance(node, Mapping):
        found = {name: _known_fields_only(value) for name, value in node.items()}
        closed = "properties" in found and not node.get("x-kubernetes-preserve-unknown-fields")
        if closed and "additionalProperties" not in found:
            found["additionalProperties"] = False
        return found
    return [_known_fields_only(each) for each in node] if isinstance(node, list) else node


def _properties(resource: str) -> dict[str, Any]:
    crd = yaml.safe_load((ROOT / "operator" / "paceline_operator" / "crd" / f"{resource}.yaml").read_text())
    properties: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return properties


async def test_every_field_of_a_status_and_of_a_checkpoint_is_in_the_crd() -> None:
    """A field that the CRD lacks is pruned by the API server, and the loop forgets it without a word."""
    status = _properties("tuningpolicy")["status"]
    checkpoint = {name: _properties("tuningcheckpoint")[name] for name in ("generation", "memory", "holds")}
    spec = {
        "targetRef": {"name": "api"},
        "mode": "Auto",
        "objective": {"p95": "45ms"},
        "workers": {"min": 2, "max": 8},
        "pools": [{"name": "postgres", "max": 20}],
        "caches": [{"name": "responses", "ttl": {"value": "5s"}}],
        "admission": {"min": 16, "max": 512},
        "behavior": {"interval": "5s", "minSamples": 100},
    }
    fleet = ModelledFleet(spec, service=Service(cpu_limit=4.0))
    fleet.strangers = {"api-canary-1": "it belongs to Deployment api-canary"}
    settings = OperatorSettings(ack_poll_seconds=0.001, ack_wait_seconds=0.005)
    reconciler = Reconciler(fleet, fleet, now=lambda: fleet.now, settings=settings)

    seen = set()
    for _ in range(30):
        wait = await reconciler.reconcile(KEY)
        fleet.pass_time(max(wait.total_seconds(), 0.05))
        Draft202012Validator(_known_fields_only(status)).validate(fleet.status)
        stored = fleet.checkpoints[KEY].content
        Draft202012Validator(_known_fields_only({"properties": checkpoint})).validate(stored)
        seen |= fleet.status.keys()

    assert seen == set(status["properties"]) - {"tuner"}, "earlier versions wrote that"


def test_cores_are_read_and_may_be_missing() -> None:
    wire = ModelPod("pod", start_values(), start_values()).state(Service())
    assert parse_state(wire).cpu.cores == 64
    del wire["cpu"]["cores"]
    assert parse_state(wire).cpu.cores is None
