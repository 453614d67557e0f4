"""The loop over a modelled fleet: from every bad start it settles, stays settled, never leaves its bounds."""

from datetime import timedelta
from typing import Any

import pytest
from modelled_fleet import KEY, ModelledFleet, Service, start_values
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.settings import OperatorSettings

INTERVAL = 60
SETTLED_BY = 14
INTERVALS = 28

CPU_BOUND = Service(requests_per_second=400, cpu_seconds=0.004, query_seconds=0.002)
DATABASE_BOUND = Service(requests_per_second=300, cpu_seconds=0.0004, query_seconds=0.015)
MIXED = Service(requests_per_second=300, cpu_seconds=0.002, query_seconds=0.006)
LIGHT = Service(requests_per_second=20, cpu_seconds=0.001, query_seconds=0.004)


def spec(**changes: Any) -> dict[str, Any]:
    return {
        "targetRef": {"name": "api"},
        "mode": "Auto",
        "objective": {"p95": "60ms"},
        "workers": {"min": 1, "max": 8},
        "pools": [{"name": "postgres", "min": 1, "max": 40}],
        "behavior": {"interval": f"{INTERVAL}s", "minSamples": 1000},
        **changes,
    }


class Simulation:
    def __init__(self, fleet: ModelledFleet) -> None:
        self.fleet = fleet
        self.lines: list[Any] = []
        settings = OperatorSettings(ack_poll_seconds=0.001, ack_wait_seconds=0.005)
        self.reconciler = Reconciler(fleet, fleet, now=lambda: fleet.now, settings=settings, journal=self.lines.append)

    async def run(self, intervals: float) -> None:
        until = self.fleet.now + timedelta(seconds=intervals * INTERVAL)
        while self.fleet.now < until:
            wait = await self.reconciler.reconcile(KEY)
            self.fleet.pass_time(max(wait.total_seconds(), 0.05))

    @property
    def changes(self) -> list[Any]:
        return [line for line in self.lines if line["changes"]]


@pytest.mark.parametrize(
    "service",
    [
        pytest.param(CPU_BOUND, id="cpu-bound"),
        pytest.param(DATABASE_BOUND, id="database-bound"),
        pytest.param(MIXED, id="mixed"),
        pytest.param(LIGHT, id="light"),
    ],
)
@pytest.mark.parametrize(
    "start", [(1, 1), (1, 10), (8, 1), (4, 20)], ids=lambda start: "workers {} pool {}".format(*start)
)
async def test_it_settles_within_its_objective(service: Service, start: tuple[int, int]) -> None:
    simulation = Simulation(ModelledFleet(spec(), service=service, start=start_values(*start)))
    await simulation.run(SETTLED_BY)
    settled = len(simulation.changes)
    await simulation.run(INTERVALS - SETTLED_BY)

    fleet = simulation.fleet
    assert fleet.condition("ObjectiveMet")["status"] == "True"
    late = [line for line in simulation.changes[settled:] if "Probe" not in line["reason"] + line["message"]]
    assert len(late) <= 1, [line["message"] for line in late]


async def test_more_load_is_followed_and_less_gives_connections_back() -> None:
    cheap = spec(objective={"p95": "60ms"})
    simulation = Simulation(ModelledFleet(cheap, service=MIXED, start=start_values(2, 2)))
    await simulation.run(12)
    before = simulation.fleet.status["tuning"]["values"]
    simulation.fleet.service = Service(requests_per_second=900, cpu_seconds=0.002, query_seconds=0.006)
    await simulation.run(14)
    busy = simulation.fleet.status["tuning"]["values"]
    assert busy["workers"] > before["workers"]
    assert simulation.fleet.condition("ObjectiveMet")["status"] == "True"

    simulation.fleet.service = Service(requests_per_second=30, cpu_seconds=0.002, query_seconds=0.006)
    await simulation.run(120)  # what the busiest minute of the last hour needs stays for that hour
    quiet = simulation.fleet.status["tuning"]["values"]
    assert quiet["workers"] < busy["workers"]
    assert quiet["pools"]["postgres"] < busy["pools"]["postgres"]


async def test_a_fleet_at_its_bounds_says_what_it_lacks() -> None:
    small = spec(workers={"min": 1, "max": 2})
    simulation = Simulation(ModelledFleet(small, service=CPU_BOUND, start=start_values(1, 4)))
    await simulation.run(10)

    fleet = simulation.fleet
    assert fleet.status["tuning"]["values"]["workers"] == 2
    assert fleet.status["recommendation"]["reason"] == "AtMaximum"
    assert fleet.status["recommendation"]["limitedReason"] == "AtMaximum"
    assert fleet.status["recommendation"]["uncapped"]["workers"] > 2


async def test_a_full_cpu_asks_for_pods_not_for_workers() -> None:
    throttled = Service(requests_per_second=520, cpu_seconds=0.004, query_seconds=0.002, cores=2, cpu_limit=2.0)
    simulation = Simulation(ModelledFleet(spec(), service=throttled, start=start_values(2, 40)))
    await simulation.run(6)

    assert simulation.fleet.status["recommendation"]["reason"] == "ScaleOutRecommended"


async def test_lost_telemetry_shrinks_nothing() -> None:
    simulation = Simulation(ModelledFleet(spec(), service=MIXED, pods=4, start=start_values(1, 1)))
    await simulation.run(12)
    before = simulation.fleet.status["tuning"]

    simulation.fleet.silent = {"pod-0", "pod-1"}
    await simulation.run(12)

    assert simulation.fleet.status["tuning"]["generation"] == before["generation"]
    assert simulation.fleet.condition("TelemetryAvailable")["reason"] == "InsufficientTelemetry"


async def test_an_operator_that_restarts_every_few_minutes_ends_at_the_same_place() -> None:
    steady = Simulation(ModelledFleet(spec(), service=MIXED))
    await steady.run(20)
    fleet = ModelledFleet(spec(), service=MIXED)
    for _ in range(10):
        await Simulation(fleet).run(3)

    assert fleet.condition("ObjectiveMet")["status"] == "True"
    assert abs(fleet.status["tuning"]["values"]["workers"] - steady.fleet.status["tuning"]["values"]["workers"]) <= 1
