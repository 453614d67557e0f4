"""The fleet as lines: the worst first, what is unknown a dash."""

from datetime import UTC, datetime
from typing import Any

from paceline_operator.ports import PolicyKey, PolicyResource
from paceline_operator.top.table import lines_of

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def policy(name: str, status: dict[str, Any], **spec: Any) -> PolicyResource:
    return PolicyResource(PolicyKey("shop", name), name, 1, "1", NOW, {"targetRef": {"name": name}, **spec}, status)


def conditions(**status: str) -> list[dict[str, str]]:
    return [{"type": name, "status": value, "reason": "Accepted"} for name, value in status.items()]


MET = policy(
    "api",
    {
        "conditions": conditions(Ready="True", ObjectiveMet="True"),
        "tuning": {
            "values": {
                "workers": 3,
                "pools": {"redis": 20, "postgres": 8},
                "caches": {"responses": {"ttlSeconds": 60.0}},
            }
        },
        "observed": {"p95": "31ms", "p99": "60ms", "requestsPerSecond": 118.4},
        "pods": {"total": 4, "applied": 3},
        "decisions": [
            {"time": "2026-01-31T11:45:00.000Z", "changes": [{}]},
            {"time": "2026-01-31T11:59:00.000Z"},
        ],
        "recommendation": {"reason": "WithinTolerance"},
    },
    mode="Auto",
    objective={"p95": "45ms"},
)
MISSED = policy(
    "reports",
    {"conditions": conditions(Ready="True", ObjectiveMet="False"), "observed": {"p99": "3.1s"}},
    objective={"p99": "2s"},
)
BROKEN = policy("typo", {"conditions": [{"type": "Ready", "status": "False", "reason": "TargetNotFound"}]})
NEW = policy("new", {})


def test_each_policy_is_a_line_and_the_worst_comes_first() -> None:
    lines = lines_of([MET, NEW, MISSED, BROKEN], NOW)

    assert [line.state for line in lines] == ["head", "broken", "broken", "missed", "met"]
    cells = [line.text.split() for line in lines]
    assert cells[0][:6] == ["NAMESPACE", "POLICY", "TARGET", "MODE", "LATENCY", "OBJECTIVE"]
    assert [row[1] for row in cells[1:]] == ["new", "typo", "reports", "api"]
    assert cells[3][2:8] == ["Deployment/reports", "Recommend", "3.1s", "p99", "2s", "-"]
    assert cells[4][3:] == [
        "Auto", "31ms", "p95", "45ms", "118", "3", "postgres=8,redis=20", "responses=60s", "3/4", "15m", "ago",
        "WithinTolerance",
    ]  # fmt: skip
    assert cells[2][-1] == "TargetNotFound"


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    head, *rows = (line.text for line in lines_of([MET, MISSED], NOW))
    for name in ("TARGET", "MODE", "LATENCY", "OBJECTIVE", "PODS", "REASON"):
        assert all(row[head.index(name) - 1] == " " and row[head.index(name)] != " " for row in rows)


def test_a_status_of_another_version_shows_what_can_be_read() -> None:
    strange = policy("odd", {"conditions": conditions(Ready="True"), "decisions": [{"time": 7, "changes": [1]}]})
    assert lines_of([strange], NOW)[1].text.split()[-1] == "-"
