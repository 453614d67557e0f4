"""The TuningPolicy as a real API server keeps it: what it accepts, what it refuses and how, what it stores."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from envtest import EnvtestServer, RefusedError
from policy_specs import MISTAKES, SPEC, changed

pytestmark = pytest.mark.apiserver

EXAMPLES = sorted((Path(__file__).parents[3] / "k8s" / "examples").glob("*.yaml"))


def policies(namespace: str) -> str:
    return f"/apis/paceline.dev/v1alpha1/namespaces/{namespace}/tuningpolicies"


def policy(spec: dict[str, Any], name: str = "api") -> dict[str, Any]:
    return {"apiVersion": "paceline.dev/v1alpha1", "kind": "TuningPolicy", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_accepted(server: EnvtestServer, namespace: str, example: Path) -> None:
    accepted = [
        server.create(policies(namespace), document)
        for document in yaml.safe_load_all(example.read_text())
        if document and document["kind"] == "TuningPolicy"
    ]
    assert accepted


def test_defaults_are_filled_in_by_the_api_server(server: EnvtestServer, namespace: str) -> None:
    stored = server.create(policies(namespace), policy({"targetRef": {"name": "api"}}))
    assert stored["spec"] == {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"},
        "mode": "Recommend",
        "behavior": {
            "interval": "60s",
            "minSamples": 2000,
            "tolerance": 0.1,
            "maxChangesPerHour": 20,
            "stabilizationWindows": 5,
        },
    }


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES)
def test_a_mistake_is_refused_with_words_that_help(
    server: EnvtestServer, namespace: str, path: str, value: Any, message: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        server.create(policies(namespace), policy(changed(path, value)))
    assert refused.value.status == 422
    assert message in str(refused.value)
    assert "no such" not in str(refused.value), "a rule must not fail on what another rule refuses"


def test_a_mode_without_quotes_is_stored_for_the_operator_to_say_what_it_lacks(
    server: EnvtestServer, namespace: str
) -> None:
    stored = server.create(policies(namespace), policy({**SPEC, "mode": False}))
    assert stored["spec"]["mode"] is False
    with pytest.raises(RefusedError, match="Unsupported value: true"):
        server.create(policies(namespace), policy({**SPEC, "mode": True}, "second"))


@pytest.mark.parametrize("duration", ["5s", "1m30s", "1.5h", "6000ms", "99999h"])
def test_durations_of_every_form_are_accepted(server: EnvtestServer, namespace: str, duration: str) -> None:
    server.create(policies(namespace), policy(changed("behavior.interval", duration)))


STATUS: dict[str, Any] = {
    "observedGeneration": 1,
    "conditions": [
        {
            "type": name, "status": "True", "reason": "AsExpected", "message": "fine",
            "observedGeneration": 1, "lastTransitionTime": "2026-01-02T03:04:05Z",
        }
        for name in ("Ready", "TelemetryAvailable", "Converged", "WithinBudget", "ObjectiveMet")
    ],
    "tuning": {
        "generation": 17,
        "values": {
            "workers": 4, "pools": {"postgres": 8}, "caches": {"responses": {"ttlSeconds": 60}},
            "admission": {"min": 16, "max": 512},
        },
        "lastKnownGood": {"workers": 3},
        "gained": "p95 210ms → 41ms",
    },
    "pods": {"total": 6, "applied": 5},
    "observed": {
        "time": "2026-01-02T03:04:05Z",
        "p95": "23ms", "errorRatio": 0.001, "samples": 143210, "requestsPerSecond": 12.5, "loopLagP95": "12ms",
        "poolWaitP99": "400us", "throttledRatio": 0.04, "coverage": 1,
    },
    "recommendation": {
        "reason": "LoopLagHigh", "message": "p95 12 ms",
        "values": {"workers": 4}, "uncapped": {"workers": 9}, "limitedReason": "AtMaximum", "confidence": "High",
    },
    "pending": {"generation": 17, "deadline": "2026-01-02T03:05:05Z", "baseline": {"p95Seconds": 0.2}},
    "decisions": [
        {
            "time": "2026-01-02T03:04:05Z", "generation": 17,
            "changes": [{"tunable": "workers", "old": 1, "new": 4}, {"tunable": "caches.responses", "new": 60.5}],
            "values": {"workers": 4}, "reason": "LoopLagHigh", "message": "p95 12 ms", "traceID": "4bf92f35",
        }
    ],
    "lastUpdateTime": "2026-01-02T03:04:05Z",
    "tuner": {"version": 1, "regimes": [{"anything": {"goes": [1, 2.5, "x", None]}}]},
}  # fmt: skip


def test_a_status_comes_back_as_it_was_written(server: EnvtestServer, namespace: str) -> None:
    stored = server.create(policies(namespace), policy(SPEC))
    server.request("PUT", f"{policies(namespace)}/api/status", {**stored, "status": STATUS})
    assert server.get(f"{policies(namespace)}/api")["status"] == STATUS


def test_a_status_that_is_written_changes_no_spec_and_no_generation(server: EnvtestServer, namespace: str) -> None:
    stored = server.create(policies(namespace), policy(SPEC))
    written = server.request(
        "PUT", f"{policies(namespace)}/api/status", {**stored, "spec": {"targetRef": {"name": "x"}}, "status": STATUS}
    )
    assert (written["spec"], written["metadata"]["generation"]) == (stored["spec"], 1)


def test_the_table_shows_what_people_ask_first(server: EnvtestServer, namespace: str) -> None:
    stored = server.create(policies(namespace), policy({**SPEC, "mode": "Auto"}))
    trying = {"trying": "workers 3→4 on 1 of 6 pods", "triedOn": ["uid"]}
    server.request("PUT", f"{policies(namespace)}/api/status", {**stored, "status": {**STATUS, "pending": trying}})
    table = server.table(policies(namespace))
    columns = {column["name"]: column["priority"] for column in table["columnDefinitions"]}
    cells = dict(zip(columns, table["rows"][0]["cells"], strict=True))
    wide = [name for name, priority in columns.items() if priority]
    assert [(name, cells.pop(name)) for name in wide] == [("Trying", trying["trying"]), ("Message", "p95 12 ms")]
    assert list(cells) == ["Name", "Mode", "Target", "P95", "Workers", "Applied", "Total", "Ready", "Reason", "Age"]
    del cells["Age"]
    assert cells == {
        "Name": "api", "Mode": "Auto", "Target": "api", "P95": "23ms", "Workers": 4, "Applied": 5, "Total": 6,
        "Ready": "True", "Reason": "LoopLagHigh",
    }  # fmt: skip


def test_the_short_name_and_the_category_are_served(server: EnvtestServer) -> None:
    served = {one["name"]: one for one in server.get("/apis/paceline.dev/v1alpha1")["resources"]}
    assert served["tuningpolicies"]["shortNames"] == ["tp"]
    assert served["tuningpolicies"]["categories"] == ["paceline"]
    assert served["tuningpolicies"]["namespaced"]


def test_every_field_is_described(server: EnvtestServer) -> None:
    definition = server.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tuningpolicies.paceline.dev")
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert list(_undescribed(spec, "spec")) == []


def _undescribed(schema: dict[str, Any], path: str) -> list[str]:
    found = [] if schema.get("description") or path.endswith("[]") else [path]
    for name, child in schema.get("properties", {}).items():
        found += _undescribed(child, f"{path}.{name}")
    if "items" in schema:
        found += _undescribed(schema["items"], f"{path}[]")
    return found
