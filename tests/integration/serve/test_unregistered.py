"""A pool that nobody named shows in `/state`, a named one at the same address does not; the operator adds no worker."""

from urllib.parse import urlsplit

import pytest
from paceline_operator.core.decide import decide
from paceline_operator.core.model.decision import Reason
from paceline_operator.telemetry.state import parse_state
from serving import Served, StartPod, eventually
from situations import fleet, observation, seconds, situation


def address(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}"


def decided(served: Served) -> Reason:
    """What the operator makes of a busy loop where the pods report this."""
    unregistered = parse_state(served.state()).unregistered
    lagging = observation(loop_lag=seconds(0.02))
    return decide(situation(fleet=fleet(unregistered=unregistered), observation=lagging))[0].reason


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch, postgres_dsn: str, valkey_url: str) -> None:
    for name, value in {"DSN": postgres_dsn, "REDIS": valkey_url}.items():
        monkeypatch.setenv(f"NAMED_{name}", value)
        monkeypatch.setenv(f"UNNAMED_{name}", value)


def test_pools_that_nobody_named_are_reported_and_keep_the_operator_from_adding_workers(
    start_pod: StartPod, monkeypatch: pytest.MonkeyPatch, postgres_dsn: str, valkey_url: str
) -> None:
    monkeypatch.setenv("FORGETFUL", "yes")
    pod = start_pod("unnamed:app", workers=2)
    expected = [(address(postgres_dsn), 4), (address(valkey_url), 2)]
    eventually(
        lambda: [(entry["address"], entry["connections"]) for entry in pod.state()["unregistered"]] == expected,
        "in each worker two connections of asyncpg's and one of redis's, beside those that are named",
    )
    assert {name: pool["open"] for name, pool in pod.state()["pools"].items()} == {
        "postgres": 2,
        "redis": 2,
        "threads": 0,
    }
    assert decided(pod) is Reason.UNREGISTERED_POOL
