"""`paceline-operator budget`: the table, and what it says where there is none."""

from typing import Any

from paceline_operator.budget import table
from paceline_operator.ports import BudgetResource, PolicyKey

MEMBER = {
    "policy": "shop/api",
    "target": "Deployment/api",
    "mode": "Auto",
    "pods": {"worst": 7},
    "pools": [{"name": "postgres", "workers": 1, "limit": 4, "used": 9}],
    "perPod": 4,
    "worst": 28,
    "share": 90,
    "message": "7 pods (3 by spec.replicas, 1 surge, 3 terminating) × 4 connections = 28; its share is 90",
}
FITS = {"type": "WithinBudget", "status": "True", "reason": "Fits", "message": "28 of 90 at the worst"}
WAITS = {"type": "Settled", "status": "False", "reason": "NotConverged", "message": "shop/api: not every pod"}


def budget(status: dict[str, Any], **spec: Any) -> BudgetResource:
    whole = {"maxConnections": 100, "reserved": 10, **spec}
    return BudgetResource(PolicyKey("data", "main"), "uid", 1, "1", whole, status)


def status(**changes: Any) -> dict[str, Any]:
    return {
        "connections": 90, "worst": 28, "used": 9, "members": [MEMBER], "conditions": [FITS, WAITS], **changes
    }  # fmt: skip


def test_it_is_a_row_for_each_policy_with_the_sentence_why_and_what_is_not_well() -> None:
    assert table(budget(status())) == (
        "data/main: 28 of 90 connections at the worst, 9 in use (100 less 10 reserved)\n"
        "\n"
        "POLICY    TARGET          MODE  PODS  PER POD  WORST  SHARE  USED\n"
        "shop/api  Deployment/api  Auto  7     4        28     90     9\n"
        "\n"
        f"shop/api: {MEMBER['message']}\n"
        "\n"
        "Settled=False NotConverged: shop/api: not every pod"
    )


def test_a_member_that_is_not_counted_has_dashes() -> None:
    text = table(budget(status(members=[{"policy": "shop/new", "message": "it has no pods"}])))
    assert "shop/new  -       -     -     -        -      -      0" in text


def test_what_the_server_says_and_a_pooler_are_told_apart() -> None:
    learnt = table(budget(status(serverMaxConnections=60)))
    assert "(the server says 60, less than the 100 of maxConnections; 10 reserved)" in learnt
    pooled = table(budget(status(), endpoint="Pooler"))
    assert "(client connections of the pooler)" in pooled


def test_nobody_and_nothing_yet() -> None:
    assert "no policy refers to it" in table(budget(status(members=[])))
    assert table(budget({})) == "data/main: not counted yet; is the operator running?"
