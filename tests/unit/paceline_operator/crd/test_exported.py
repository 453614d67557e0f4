"""The values in force as what a person keeps: a policy that parses and pins, variables, values of the chart."""

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from paceline_operator.core.model.tunables import WORKERS, cache, pool
from paceline_operator.crd.exported import exported
from paceline_operator.crd.v1alpha1 import parse_policy
from paceline_operator.errors import UsageError
from paceline_operator.ports import PolicyKey, PolicyResource

SPEC: dict[str, Any] = {
    "targetRef": {"kind": "StatefulSet", "name": "shop"},
    "mode": "Auto",
    "objective": {"p95": "45ms"},
    "workers": {"min": 1, "max": 8},
    "pools": [
        {"name": "postgres", "min": 1, "max": 40, "budgetRef": {"name": "main", "weight": 2}},
        {"name": "redis", "value": 20},
        {"name": "reports", "budgetRef": {"name": "main"}},
        {"name": "unseen", "min": 2, "max": 4},
    ],
    "caches": [{"name": "responses", "ttl": {"min": "5s", "max": "300s"}, "maxStaleness": "300s"}],
    "admission": {"min": 16, "max": 512},
}
VALUES = {
    "workers": 3,
    "pools": {"postgres": 8, "redis": 20, "reports": 5},
    "caches": {"responses": {"ttlSeconds": 90.0}},
    "admission": {"min": 16, "max": 512},
}


def policy(values: dict[str, Any] | None = VALUES) -> PolicyResource:
    status = {} if values is None else {"tuning": {"generation": 17, "values": values}}
    return PolicyResource(PolicyKey("store", "shop"), "uid", 1, "1", datetime(2026, 1, 1, tzinfo=UTC), SPEC, status)


def test_the_policy_pins_what_is_in_force_and_keeps_all_else() -> None:
    manifest = yaml.safe_load(exported(policy(), "policy"))

    assert manifest["metadata"] == {"name": "shop", "namespace": "store"}
    assert manifest["spec"] == {
        **SPEC,
        "workers": {"value": 3},
        "pools": [
            {"name": "postgres", "value": 8, "budgetRef": {"name": "main", "weight": 2}},
            {"name": "redis", "value": 20},
            {"name": "reports", "budgetRef": {"name": "main"}},  # counted, and never moved
            {"name": "unseen", "min": 2, "max": 4},
        ],
        "caches": [{"name": "responses", "ttl": {"value": "1m30s"}, "maxStaleness": "300s"}],
    }
    parsed = parse_policy(manifest["spec"], "store")
    pinned = {tunable: parsed.tunables[tunable].pinned for tunable in (WORKERS, pool("postgres"), cache("responses"))}
    assert list(pinned.values()) == [3, 8, 90.0]


def test_what_was_exported_exports_as_itself() -> None:
    once = yaml.safe_load(exported(policy(), "policy"))["spec"]
    again = PolicyResource(
        PolicyKey("store", "shop"), "uid", 2, "2", datetime(2026, 1, 1, tzinfo=UTC), once, policy().status
    )
    assert yaml.safe_load(exported(again, "policy"))["spec"] == once


def test_variables_are_lines_and_the_rest_is_said_in_comments() -> None:
    assert exported(policy(), "env").splitlines() == [
        "PACELINE_WORKERS=3",
        "# No variable has these: the application's own code, or a pinned policy, does.",
        "# tune.pool(…, name='postgres', limit=8)",
        "# tune.pool(…, name='redis', limit=20)",
        "# tune.pool(…, name='reports', limit=5)",
        "# tune.cache(name='responses', ttl=90)",
    ]
    assert exported(policy({"workers": 3}), "env") == "PACELINE_WORKERS=3\n"


def test_values_of_the_chart_hold_the_same_variables() -> None:
    assert yaml.safe_load(exported(policy(), "helm")) == {"service": {"env": {"PACELINE_WORKERS": "3"}}}
    assert yaml.safe_load(exported(policy({"pools": {"redis": 20}}), "helm")) is None


@pytest.mark.parametrize("form", ["policy", "env", "helm"])
def test_before_any_pod_has_reported_there_is_nothing_to_export(form: Any) -> None:
    with pytest.raises(UsageError, match="store/shop: no pod has said yet what it runs"):
        exported(policy(None), form)
