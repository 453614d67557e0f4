"""A real Prometheus scrapes both sides, and every query of docs/operations.md finds what it asks for."""

import re
from pathlib import Path

import pytest
from modelled_fleet import CHOOSING, KEY, ModelledFleet, Service
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.settings import OperatorSettings
from paceline_operator.telemetry.exposition import metrics_endpoint
from paceline_operator.telemetry.metrics import Metrics
from prometheus import prometheus
from serving import eventually_async, free_ports, pod

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"


def queries() -> list[str]:
    """What the page tells to ask Prometheus."""
    (block,) = re.findall(r"```promql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [line.partition("  #")[0].strip() for line in block.splitlines()]


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
    )
    for _ in range(40):
        await reconciler.reconcile(KEY)
        fleet.pass_time(1)
    conditions = [{"type": "WithinBudget", "status": "True"}]
    table.of_policies.tell_budget(
        KEY, {"connections": 36, "used": 12, "worst": 30, "pods": 5, "conditions": conditions}
    )
    return table


async def test_both_sides_are_scraped_and_the_pages_queries_find_something(tmp_path: Path, metrics: Metrics) -> None:
    (port,) = free_ports(1)
    with pod(tmp_path, "plain:app") as served:
        addresses = {"operator": f"127.0.0.1:{port}", "pods": f"127.0.0.1:{served.management_port}"}
        async with metrics_endpoint(metrics.registry, addresses["operator"]):
            with prometheus(tmp_path, addresses) as server:
                await eventually_async(lambda: set(server.targets().values()) == {"up"}, "both are up")
                served.get()
                await eventually_async(
                    lambda: [each for each in queries() if not server.query(each)] == [], "every query finds something"
                )
