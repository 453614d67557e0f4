"""The ConnectionBudget as a real API server keeps it: what it accepts, what it refuses and how, what it stores."""

from typing import Any

import pytest
from budget_specs import MISTAKES, SPEC, changed
from envtest import EnvtestServer, RefusedError

pytestmark = pytest.mark.apiserver


def budgets(namespace: str) -> str:
    return f"/apis/paceline.dev/v1alpha1/namespaces/{namespace}/connectionbudgets"


def budget(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "paceline.dev/v1alpha1",
        "kind": "ConnectionBudget",
        "metadata": {"name": "main"},
        "spec": spec,
    }


def test_defaults_are_filled_in_by_the_api_server(server: EnvtestServer, namespace: str) -> None:
    stored = server.create(budgets(namespace), budget({"maxConnections": 200}))
    expected = {"maxConnections": 200, "reserved": 10, "endpoint": "Direct", "allocation": "WorstCase"}
    assert stored["spec"] == expected


def test_every_field_is_accepted(server: EnvtestServer, namespace: str) -> None:
    assert server.create(budgets(namespace), budget(SPEC))["spec"] == SPEC


@pytest.mark.parametrize(("fields", "message"), MISTAKES)
def test_a_mistake_is_refused_with_words_that_help(
    server: EnvtestServer, namespace: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        server.create(budgets(namespace), budget(changed(fields)))
    assert refused.value.status == 422
    assert message in str(refused.value)
    assert "no such" not in str(refused.value), "a rule must not fail on what another rule refuses"


def test_a_pool_with_a_reference_alone_is_accepted(server: EnvtestServer, namespace: str) -> None:
    pools = [{"name": "postgres", "budgetRef": {"name": "main", "namespace": "data"}}]
    stored = server.create(
        f"/apis/paceline.dev/v1alpha1/namespaces/{namespace}/tuningpolicies",
        {
            "apiVersion": "paceline.dev/v1alpha1",
            "kind": "TuningPolicy",
            "metadata": {"name": "api"},
            "spec": {"targetRef": {"name": "api"}, "pools": pools},
        },
    )
    assert stored["spec"]["pools"] == [{"name": "postgres", "budgetRef": {**pools[0]["budgetRef"], "weight": 1}}]


def test_the_api_server_serves_it_under_its_names(server: EnvtestServer) -> None:
    served = {each["name"]: each for each in server.get("/apis/paceline.dev/v1alpha1")["resources"]}
    assert served["connectionbudgets"]["shortNames"] == ["cb"]
    assert served["connectionbudgets"]["categories"] == ["paceline"]
    assert "connectionbudgets/status" in served
