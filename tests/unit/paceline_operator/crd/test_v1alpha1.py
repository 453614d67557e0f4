"""Specs of TuningPolicies: what they mean, and what is said of those that mean nothing."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from paceline_operator.cluster.manifests import parse_manifests
from paceline_operator.core.model.policy import Bounds, Mode, Prefer, TunableSpec
from paceline_operator.core.model.tunables import WORKERS, cache, pool
from paceline_operator.crd.v1alpha1 import parse_policy, parse_target
from paceline_operator.errors import InvalidSpec
from paceline_operator.ports import TargetRef

EXAMPLES = Path(__file__).parents[4] / "k8s" / "examples"
TARGET = {"targetRef": {"name": "api"}}
FULL: dict[str, Any] = {
    "targetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "api"},
    "mode": "Auto",
    "objective": {
        "p95": "45ms",
        "errorRatio": 0.002,
        "prefer": "latency",
        "routes": {"exclude": ["GET /healthz"]},
    },
    "workers": {"min": 1, "max": 8},
    "pools": [
        {"name": "postgres", "max": 40, "budgetRef": {"name": "main"}},
        {"name": "redis", "value": 20, "budgetRef": {"name": "main", "namespace": "data"}},
    ],
    "caches": [
        {"name": "responses", "ttl": {"min": "5s", "max": "5m"}, "maxStaleness": "300s"},
        {"name": "pages", "ttl": {"value": "0s"}},
        {"name": "short", "ttl": {"max": "1s"}},
    ],
    "admission": {"min": 16, "max": 512},
    "maxReplicas": 12,
    "behavior": {
        "interval": "1m30s",
        "minSamples": 500,
        "tolerance": 0.2,
        "cooldown": "3m",
        "maxChangesPerHour": 5,
        "stabilizationWindows": 3,
        "canary": {"pods": 2},
    },
}


def test_every_field_has_its_meaning() -> None:
    policy = parse_policy(FULL, "shop")

    assert policy.mode is Mode.AUTO
    assert policy.tunables == {
        WORKERS: TunableSpec(WORKERS, bounds=Bounds(1, 8)),
        pool("postgres"): TunableSpec(pool("postgres"), bounds=Bounds(1, 40), budget="shop/main"),
        pool("redis"): TunableSpec(pool("redis"), pinned=20, budget="data/main"),
        cache("responses"): TunableSpec(cache("responses"), bounds=Bounds(5, 300)),
        cache("pages"): TunableSpec(cache("pages"), pinned=0),
        cache("short"): TunableSpec(cache("short"), bounds=Bounds(0, 1)),
    }
    assert policy.admission == Bounds(16, 512)
    assert policy.objective is not None
    assert (policy.objective.limit, policy.objective.error_ratio) == (timedelta(milliseconds=45), 0.002)
    assert policy.objective.prefer is Prefer.LATENCY
    assert policy.objective.excluded_routes == {"GET /healthz"}
    assert policy.behavior.interval == timedelta(seconds=90)
    assert policy.behavior.cooldown == timedelta(minutes=3)
    assert (policy.behavior.stabilization_windows, policy.behavior.canary_pods) == (3, 2)
    assert (policy.behavior.min_samples, policy.behavior.tolerance, policy.behavior.max_changes_per_hour) == (
        500,
        0.2,
        5,
    )
    assert parse_target(FULL) == TargetRef("apps/v1", "StatefulSet", "api")


def test_what_is_left_out_has_defaults() -> None:
    policy = parse_policy(TARGET)

    assert policy.mode is Mode.RECOMMEND
    assert policy.tunables == {}
    assert policy.objective is None
    assert policy.admission is None
    assert policy.behavior.min_samples == 2000
    assert parse_target(TARGET) == TargetRef("apps/v1", "Deployment", "api")


def test_the_cooldown_is_one_interval_unless_given() -> None:
    assert parse_policy({**TARGET, "behavior": {"interval": "5s"}}).behavior.cooldown == timedelta(seconds=5)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        pytest.param({"targetRef": None}, "spec.targetRef: Input should be", id="no target"),
        pytest.param({"targetRef": {}}, "spec.targetRef.name: Field required", id="a target without a name"),
        pytest.param({"mode": "On"}, "spec.mode: Input should be 'Off', 'Recommend' or 'Auto'", id="an unknown mode"),
        pytest.param(
            {"mode": False}, 'spec.mode: false is what YAML reads of Off without quotes: write mode: "Off"', id="Off"
        ),
        pytest.param({"objective": {"p95": "45m"}}, "spec.objective.p95: '45m' is 45 minutes: write 45ms", id="45m"),
        pytest.param({"mode": True}, "spec.mode: true is what YAML reads of On without quotes", id="On"),
        pytest.param(
            {"objective": {"p95": "500m"}},
            "spec.objective.p95: '500m' is 500 minutes: write 500ms for milliseconds, or 8h20m if you mean that",
            id="minutes where milliseconds are meant",
        ),
        pytest.param(
            {"behavior": {"interval": "100m"}}, "spec.behavior.interval: '100m' is 100 minutes", id="of an interval"
        ),
        pytest.param({"objective": {"p95": "45"}}, "spec.objective.p95: '45' has no unit", id="no unit"),
        pytest.param(
            {"objective": {"p95": "5 min"}},
            "spec.objective.p95: '5 min' is not a duration such as 45ms, 60s or 1m30s: write 5m",
            id="a unit spelled out",
        ),
        pytest.param(
            {"objective": {"p95": "45MS"}},
            "spec.objective.p95: '45MS' is not a duration such as 45ms, 60s or 1m30s: write 45ms",
            id="a unit in capitals",
        ),
        pytest.param({"objective": {"p95": "1d"}}, "spec.objective.p95: '1d' is not a duration such as", id="days"),
        pytest.param({"workers": {"value": 0}}, "spec.workers.value: Input should be greater than or", id="no workers"),
        pytest.param({"workers": {"value": "4"}}, "spec.workers.value: Input should be a valid int", id="a text"),
        pytest.param({"workers": {}}, "spec.workers: give either value, or max with an optional min", id="nothing"),
        pytest.param({"workers": {"min": 2}}, "spec.workers: give either value, or max", id="a minimum alone"),
        pytest.param({"workers": {"value": 2, "max": 4}}, "spec.workers: give either value", id="value and bounds"),
        pytest.param({"workers": {"value": 2, "min": 1}}, "spec.workers: give either value", id="value and minimum"),
        pytest.param({"workers": {"min": 9, "max": 4}}, "spec.workers: min is larger than max", id="min above max"),
        pytest.param(
            {"pools": [{"name": "a", "value": 1}, {"name": "a", "value": 2}]},
            "spec: pools: 'a' is named twice",
            id="a pool named twice",
        ),
        pytest.param(
            {"caches": [{"name": "c", "ttl": {"value": "1s"}}, {"name": "c", "ttl": {"value": "1s"}}]},
            "spec: caches: 'c' is named twice",
            id="a cache named twice",
        ),
        pytest.param({"pools": [{"value": 1}]}, "spec.pools[0].name: Field required", id="a pool without a name"),
        pytest.param(
            {"caches": [{"name": "c", "ttl": {"value": "soon"}}]},
            "spec.caches[0].ttl.value: 'soon' is not a duration such as 45ms, 60s or 1m30s",
            id="a malformed duration",
        ),
        pytest.param(
            {"caches": [{"name": "c", "ttl": {"value": 60}}]},
            "spec.caches[0].ttl.value: 60 is not a duration",
            id="a duration without a unit",
        ),
        pytest.param(
            {"caches": [{"name": "c", "ttl": {"max": "10m"}, "maxStaleness": "5m"}]},
            "spec.caches[0]: ttl may not be longer than maxStaleness",
            id="a ttl beyond the staleness allowed",
        ),
        pytest.param({"admission": {"min": 9, "max": 4}}, "spec.admission: min is larger than max", id="admission"),
        pytest.param(
            {"objective": {"p95": "0s"}}, "spec.objective: p95 must be longer than 0s", id="an objective of 0"
        ),
        pytest.param(
            {"objective": {"p95": "45ms", "errorRatio": 1}}, "spec.objective.errorRatio: Input", id="all may fail"
        ),
        pytest.param(
            {"behavior": {"interval": "4s"}},
            "spec.behavior: interval may not be shorter than 5s",
            id="a hasty interval",
        ),
        pytest.param(
            {"behavior": {"interval": "1000000h"}},
            "spec.behavior: interval may not be longer than 24h",
            id="an interval until the end of the calendar",
        ),
        pytest.param(
            {"behavior": {"cooldown": "25h"}}, "spec.behavior: cooldown may not be longer", id="an endless cooldown"
        ),
        pytest.param({"workers": {"value": 1025}}, "spec: workers: at most 1024", id="a thousand workers and more"),
        pytest.param(
            {"pools": [{"name": "db", "value": 10**9}]}, "spec: pools: db: at most 100000", id="a billion connections"
        ),
        pytest.param({"maxReplicas": 10**40}, "spec.maxReplicas: Input", id="more pods than atoms"),
        pytest.param(
            {"behavior": {"maxChangesPerHour": 0}}, "spec.behavior.maxChangesPerHour: Input", id="no changes at all"
        ),
        pytest.param(
            {"workers": {"max": 4}}, "spec: objective.p95 is needed to choose between min and max", id="no objective"
        ),
        pytest.param({"worker": {"value": 2}}, "spec.worker: is not a field of a TuningPolicy", id="a slip of the pen"),
    ],
)
def test_a_spec_that_means_nothing_is_refused_by_field(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse_policy({**TARGET, **fields})

    assert any(found.startswith(problem) for found in caught.value.problems), caught.value.problems


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse_policy({**TARGET, "mode": "On", "workers": {"value": 0}})

    assert len(caught.value.problems) == 2
    assert str(caught.value).endswith("(and 1 more)")


def test_a_target_that_cannot_be_read_is_none() -> None:
    assert parse_target({}) is None


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_parses(path: Path) -> None:
    for manifest in parse_manifests(path.read_text()):
        assert parse_policy(manifest.spec, manifest.namespace).tunables


@pytest.mark.parametrize(
    ("pods", "of_24"),
    [pytest.param(3, 3, id="a number"), pytest.param("10%", 3, id="a share"), pytest.param(0, 0, id="none")],
)
def test_pods_of_a_trial_are_a_number_or_a_share(pods: object, of_24: int) -> None:
    assert parse_policy({**TARGET, "behavior": {"canary": {"pods": pods}}}).behavior.canaries(24) == of_24


@pytest.mark.parametrize("pods", [-1, True, "3", "101%", "-5%", "ten", 0.5])
def test_other_pods_of_a_trial_are_refused(pods: object) -> None:
    with pytest.raises(InvalidSpec, match="neither a number of pods"):
        parse_policy({**TARGET, "behavior": {"canary": {"pods": pods}}})
