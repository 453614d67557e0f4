"""A spec of a TuningPolicy that is right, and ways to get it wrong: the CRD and the parser must agree on them."""

import copy
from typing import Any

import pytest

SPEC: dict[str, Any] = {
    "targetRef": {"name": "api"},
    "objective": {
        "p95": "45ms",
        "routes": {
            "exclude": ["GET /healthz"],
            "objectives": [{"match": "GET /reports/*", "p95": "2s"}, {"match": "* /admin/*", "p99": "5s"}],
        },
    },
    "workers": {"min": 1, "max": 8},
    "pools": [{"name": "postgres", "min": 2, "max": 40}, {"name": "redis", "value": 20}],
    "caches": [{"name": "responses", "ttl": {"min": "5s", "max": "300s"}, "maxStaleness": "5m"}],
    "admission": {"min": 16, "max": 512},
    "maxReplicas": 12,
    "operatorClass": "batch",
    "behavior": {"interval": "60s", "cooldown": "90s"},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """SPEC with one field set (None: removed); `pools.0.min` counts into lists."""
    spec = copy.deepcopy(SPEC)
    *parents, last = path.split(".")
    where: Any = spec
    for part in parents:
        where = where[int(part)] if isinstance(where, list) else where.setdefault(part, {})
    if value is None:
        del where[last]
    else:
        where[int(last) if isinstance(where, list) else last] = value
    return spec


DURATION = "is not a duration: write a number and a unit, such as 45ms, 30s, 5m or 1h30m"
ONE = "give exactly one of p95 and p99"
NINE = [{"match": f"GET /{number}", "p95": "1s"} for number in range(9)]
EITHER = "give either value, which pins it, or max with an optional min, between which the operator chooses"


MISTAKES = [
    pytest.param("targetRef", None, "spec.targetRef: Required value", id="no target"),
    pytest.param("targetRef.name", None, "spec.targetRef.name: Required value", id="a target without a name"),
    pytest.param("mode", "Automatic", 'supported values: "Off", "Recommend", "Auto"', id="an unknown mode"),
    pytest.param("objective.p95", "45", f'"45" {DURATION}', id="a duration without a unit"),
    pytest.param("objective.p95", "45 ms", f'"45 ms" {DURATION}', id="a duration with a blank"),
    pytest.param("objective.p95", "2d", f'"2d" {DURATION}', id="a duration in days"),
    pytest.param("objective.p95", "-5ms", f'"-5ms" {DURATION}', id="a negative duration"),
    pytest.param("objective.p95", "500m", "write 500ms for milliseconds, or hours", id="minutes for milliseconds"),
    pytest.param("objective.p95", "45m", "write 45ms for milliseconds", id="minutes of a response"),
    pytest.param("behavior.interval", "100m", "write 100ms for milliseconds, or hours", id="minutes of an interval"),
    pytest.param("objective.p95", "0ms", "a response time must be longer than 0s", id="a p95 of nothing"),
    pytest.param("objective.p95", 45, "must be of type string", id="a duration as a number"),
    pytest.param("objective.p95", None, ONE, id="no percentile"),
    pytest.param("objective.p99", "90ms", ONE, id="two percentiles"),
    pytest.param("objective.routes.objectives.0.p99", "90ms", ONE, id="two percentiles of a route"),
    pytest.param("objective.routes.objectives.0.p95", None, ONE, id="no percentile of a route"),
    pytest.param("objective.routes.objectives.0.p95", "0s", "longer than 0s", id="a route in no time"),
    pytest.param("objective.routes.objectives.0.p95", "45", f'"45" {DURATION}', id="a route without a unit"),
    pytest.param("objective.routes.objectives.0.match", "/reports/*", "is no method and path", id="no method"),
    pytest.param("objective.routes.objectives.0.match", "GET /healthz", "is in exclude as well", id="excluded as well"),
    pytest.param("objective.routes.objectives.1.match", "GET /reports/*", "Duplicate value", id="a route named twice"),
    pytest.param("objective.routes.objectives", NINE, "must have at most 8 items", id="nine routes"),
    pytest.param("objective.errorRatio", 1, "should be less than 1", id="an error ratio of all"),
    pytest.param("objective.prefer", "speed", 'supported values: "cost", "latency"', id="an unknown preference"),
    pytest.param("objective", None, "objective.p95 is needed to choose between min and max", id="no objective"),
    pytest.param("workers", {"min": 8, "max": 1}, "min is larger than max: swap them", id="workers min > max"),
    pytest.param("workers", {"value": 4, "max": 8}, EITHER, id="workers pinned and bounded"),
    pytest.param("workers", {"min": 1}, EITHER, id="workers with a min alone"),
    pytest.param("workers", {}, EITHER, id="workers without any number"),
    pytest.param("workers", {"value": 0}, "should be greater than or equal to 1", id="no workers at all"),
    pytest.param("workers", {"value": "4"}, "must be of type integer", id="workers as text"),
    pytest.param("pools.0.min", 50, "min is larger than max: swap them", id="a pool min > max"),
    pytest.param("pools.1.min", 1, EITHER, id="a pool pinned and bounded"),
    pytest.param("pools.1.name", "postgres", "Duplicate value", id="a pool named twice"),
    pytest.param("pools.0.name", "", "should be at least 1 chars long", id="a pool without a name"),
    pytest.param("pools.0.budgetRef", {}, "budgetRef.name: Required value", id="a budget without a name"),
    pytest.param("caches.0.ttl", {"min": "10m", "max": "1m"}, "min 10m is longer than max 1m", id="ttl min > max"),
    pytest.param("caches.0.ttl", {"min": "5", "max": "1m"}, f'"5" {DURATION}', id="a ttl without a unit"),
    pytest.param("caches.0.ttl", {"value": "5s", "min": "5s"}, EITHER, id="a ttl pinned and bounded"),
    pytest.param("caches.0.ttl", {"max": "1h"}, "ttl.max is longer than maxStaleness", id="a ttl past staleness"),
    pytest.param("caches.0.ttl", {"value": "1h"}, "ttl.value is longer than maxStaleness", id="a pinned ttl too"),
    pytest.param("caches.0.maxStaleness", "long", f'"long" {DURATION}', id="a staleness in words"),
    pytest.param("admission", {"min": 4}, "spec.admission.max: Required value", id="admission without a max"),
    pytest.param("admission", {"min": 4, "max": 2}, "min is larger than max", id="admission min > max"),
    pytest.param("maxReplicas", 0, "should be greater than or equal to 1", id="no replicas at all"),
    pytest.param("behavior.interval", "4s", "interval 4s is too short: write 5s or more", id="too short an interval"),
    pytest.param("behavior.interval", "often", f'"often" {DURATION}', id="an interval in words"),
    pytest.param("behavior.tolerance", 2, "should be less than or equal to 1", id="a tolerance above one"),
    pytest.param("behavior.maxChangesPerHour", 0, "should be greater than or equal to 1", id="no changes at all"),
    pytest.param("behavior.cooldown", "1", f'"1" {DURATION}', id="a cooldown without a unit"),
]
"""Field, wrong value, what the API server says about it."""
