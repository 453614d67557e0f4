"""A real Prometheus scrapes both sides, and every query of docs/operations.md and of the dashboard finds what it asks
for."""

import asyncio
import json
import re
import time
from contextlib import suppress
from pathlib import Path

import pytest
from modelled_fleet import CHOOSING, KEY, ModelledFleet, Service
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.ports import NoTracer
from paceline_operator.settings import OperatorSettings
from paceline_operator.telemetry.exposition import metrics_endpoint
from paceline_operator.telemetry.metrics import MeasuringTracer, Metrics
from prometheus import Prometheus, prometheus
from serving import eventually, eventually_async, free_ports, pod

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "operations.md"
RUNBOOKS = ROOT / "docs" / "runbooks"
DASHBOARD = ROOT / "helm" / "paceline" / "files" / "observability" / "dashboard.json"
VARIABLES = {"$policy": ".+", "$__rate_interval": "1m"}


def queries(page: Path) -> list[str]:
    """What a page tells to ask Prometheus."""
    blocks = re.findall(r"```promql\n(.*?)```", page.read_text(), re.DOTALL)
    return [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]


def of_the_dashboard() -> list[str]:
    """What its panels ask, as Grafana asks it."""
    board = json.loads(DASHBOARD.read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    for name, value in VARIABLES.items():
        found = [each.replace(name, value) for each in found]
    assert len(found) > 20
    assert not [each for each in found if "$" in each]
    return found


def without_answer(server: Prometheus, asked: list[str]) -> set[str]:
    """The queries that find nothing, not even after a while."""
    missing = set(asked)

    def all_answered() -> bool:
        missing.difference_update([each for each in missing if server.query(each)])
        return not missing

    with suppress(AssertionError):
        eventually(all_answered, "every query finds something")
    return missing


@pytest.fixture
async def metrics() -> Metrics:
    """Of an operator that has tuned a policy and watches a budget."""
    table = Metrics()
    fleet = ModelledFleet(CHOOSING, service=Service(requests_per_second=600, cpu_seconds=0.0015))
    settings = OperatorSettings(ack_poll_seconds=0.001, ack_wait_seconds=0.005)
    reconciler = Reconciler(
        fleet,
        fleet,
        now=lambda: fleet.now,
        settings=settings,
        journal=lambda line: None,
        figures=table.of_policies.tell,
        tracer=MeasuringTracer(NoTracer(), table, clock=time.monotonic),
    )
    for _ in range(40):
        await reconciler.reconcile(KEY)
        fleet.pass_time(1)
    conditions = [{"type": "WithinBudget", "status": "True"}]
    members = [{"policy": "shop/api", "worst": 30}]
    status = {"connections": 36, "used": 12, "worst": 30, "pods": 5, "conditions": conditions, "members": members}
    table.of_policies.tell_budget(KEY, status)
    return table


async def test_both_sides_are_scraped_and_all_queries_find_something(tmp_path: Path, metrics: Metrics) -> None:
    (port,) = free_ports(1)
    asked = [*queries(PAGE), *of_the_dashboard()]
    with pod(tmp_path, "measured:app") as served:
        addresses = {"operator": f"127.0.0.1:{port}", "pods": f"127.0.0.1:{served.management_port}"}
        async with metrics_endpoint(metrics.registry, addresses["operator"]):
            with prometheus(tmp_path, addresses) as server:
                await eventually_async(lambda: set(server.targets().values()) == {"up"}, "both are up")
                for path in ("/", "/threaded"):
                    served.get(path)
                # In a thread, since this loop responds to scrapes.
                assert await asyncio.to_thread(without_answer, server, asked) == set()
                for page in RUNBOOKS.glob("*.md"):  # these find something only while there is trouble
                    for each in queries(page):
                        await asyncio.to_thread(server.query, each)
