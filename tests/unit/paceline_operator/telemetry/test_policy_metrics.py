"""What a policy's loop tells is in the registry, as of the latest pass, for as long as the policy is there."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from modelled_fleet import CHOOSING, KEY, PINNED, ModelledFleet, Service
from paceline_operator.figures import PolicyFigures, Verdict
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.ports import PolicyKey
from paceline_operator.settings import OperatorSettings
from paceline_operator.telemetry.metrics import Metrics

BUDGET = PolicyKey("shop", "orders")
NAMED = {"policy": "shop/api"}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def of(metrics: Metrics) -> Callable[..., float | None]:
    """The value of `paceline_policy_NAME` of the policy, with these labels besides."""

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"paceline_policy_{name}", {**NAMED, **labels})

    return value


Passes = Callable[[ModelledFleet, float], Awaitable[None]]


@pytest.fixture
def passes(metrics: Metrics) -> Passes:
    """Runs the loop over a fleet for some seconds of its time."""
    settings = OperatorSettings(ack_poll_seconds=0.001, ack_wait_seconds=0.005)

    async def run(fleet: ModelledFleet, seconds: float) -> None:
        reconciler = Reconciler(
            fleet,
            fleet,
            now=lambda: fleet.now,
            settings=settings,
            journal=lambda line: None,
            figures=metrics.of_policies.tell,
        )
        for _ in range(round(seconds)):
            await reconciler.reconcile(KEY)
            fleet.pass_time(1)

    return run


async def test_a_policy_that_tunes_is_seen_whole(of: Callable[..., float | None], passes: Passes) -> None:
    fleet = ModelledFleet(CHOOSING, service=Service(requests_per_second=600, cpu_seconds=0.0015))
    await passes(fleet, 60)

    assert of("changes_total", reason="LoopLagHigh", outcome="applied") == 1
    assert of("changes_total", reason="LoopLagHigh", outcome="kept") == 1
    assert of("changes_total", reason="LoopLagHigh", outcome="rolled_back") == 0
    assert of("objective_seconds", quantile="0.95") == 0.045
    assert of("objective_met") == 1
    p50, p95, p99 = (of("latency_seconds", quantile=quantile) for quantile in ("0.5", "0.95", "0.99"))
    assert p50 is not None
    assert p95 is not None
    assert p99 is not None
    assert 0 < p50 <= p95 <= p99 < 0.2
    assert fleet.document_now is not None
    values = fleet.document_now["values"]
    assert of("value", tunable="workers") == values["workers"] > 1
    assert of("value", tunable="postgres") == values["pools"]["postgres"]
    assert of("recommended_value", tunable="workers") is not None
    assert of("pods") == of("pods_applied") == len(fleet.pods)
    assert of("wanted_replicas") is not None
    assert of("predicted_p95_seconds") is not None
    assert of("paused") == 0
    assert of("condition", type="Ready", status="True") == 1
    assert of("condition", type="Ready", status="False") == 0


async def test_what_cannot_be_tuned_is_seen_in_its_condition(of: Callable[..., float | None], passes: Passes) -> None:
    fleet = ModelledFleet(PINNED)
    fleet.target_exists = False
    await passes(fleet, 1)

    assert of("condition", type="Ready", status="False") == 1
    assert of("pods") is None
    assert of("objective_met") is None


@pytest.mark.parametrize("trouble", ["deleted target", "spec that says nothing"])
async def test_of_pods_that_nobody_looks_at_nothing_is_told(
    trouble: str, of: Callable[..., float | None], passes: Passes, metrics: Metrics
) -> None:
    fleet = ModelledFleet(CHOOSING)
    await passes(fleet, 30)
    metrics.of_policies.tell(KEY, PolicyFigures(pods=2, applied=1))
    assert of("value", tunable="workers") is not None
    assert of("latency_seconds", quantile="0.95") is not None

    if trouble == "deleted target":
        fleet.target_exists = False
    else:
        fleet.edit(workers={"min": "many"})
    await passes(fleet, 1)

    names = ("pods", "pods_applied", "wanted_replicas", "objective_met")
    assert {name: of(name) for name in names if of(name) is not None} == {}
    told = [each for family in metrics.registry.collect() for each in family.samples if each.labels.get("tunable")]
    assert told == []
    assert of("latency_seconds", quantile="0.95") is None
    assert of("condition", type="Ready", status="False") == 1
    assert of("changes_total", reason="Probe", outcome="applied") == 0, "counts stay"

    fleet.target_exists = True
    fleet.edit(workers={"min": 1, "max": 8})
    await passes(fleet, 2)
    assert of("pods") == of("pods_applied") == 2


async def test_the_series_of_a_policy_go_with_it(
    of: Callable[..., float | None], passes: Passes, metrics: Metrics
) -> None:
    fleet = ModelledFleet(PINNED)
    await passes(fleet, 5)
    assert of("value", tunable="workers") == 3
    assert of("changes_total", reason="Probe", outcome="applied") == 0, "counts begin at zero"
    del fleet.resources[KEY]
    await passes(fleet, 1)

    told = [sample for family in metrics.registry.collect() for sample in family.samples]
    assert not [sample for sample in told if sample.labels.get("policy")]


def test_how_good_the_advice_was_is_told_of_each_judged_change(metrics: Metrics) -> None:
    tell = metrics.of_policies.tell
    tell(KEY, PolicyFigures(verdict=Verdict("LoopLagHigh", "kept", 0.020, 0.021)))
    tell(KEY, PolicyFigures(verdict=Verdict("PoolWaitHigh", "rolled_back", 0.020, 0.040)))
    tell(KEY, PolicyFigures(verdict=Verdict("PoolWaitHigh", "dropped", 0.020, 0.040)))
    tell(KEY, PolicyFigures(verdict=Verdict("PoolOversized", "kept", None, 0.040)))

    assert metrics.registry.get_sample_value("paceline_operator_prediction_ratio_count") == 2
    assert metrics.registry.get_sample_value("paceline_operator_prediction_ratio_sum") == pytest.approx(1.05 + 2.0)


def test_what_a_pass_does_not_say_stays(metrics: Metrics, of: Callable[..., float | None]) -> None:
    metrics.of_policies.tell(KEY, PolicyFigures(latency={0.95: 0.02}, pods=3))
    metrics.of_policies.tell(KEY, PolicyFigures(pods=4))

    assert of("latency_seconds", quantile="0.95") == 0.02
    assert of("pods") == 4


def test_an_objective_names_the_quantile_that_it_is_about(metrics: Metrics, of: Callable[..., float | None]) -> None:
    metrics.of_policies.tell(KEY, PolicyFigures(objective_seconds=0.3, quantile=0.99))

    assert of("objective_seconds", quantile="0.99") == 0.3
    assert of("objective_seconds", quantile="0.95") is None


def test_a_budget_is_seen_with_its_members_until_it_is_gone(metrics: Metrics) -> None:
    status: dict[str, Any] = {
        "connections": 36,
        "used": 12,
        "worst": 30,
        "pods": 5,
        "members": [{"policy": "shop/api", "worst": 30}, {"policy": "shop/jobs"}],
        "conditions": [{"type": "WithinBudget", "status": "True"}],
    }
    metrics.of_policies.tell_budget(BUDGET, status)

    def of(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"paceline_budget_{name}", {"budget": "shop/orders", **labels})

    told = [of(name) for name in ("connections", "used_connections", "worst_connections", "pods")]
    assert told == [36, 12, 30, 5]
    assert of("member_worst_connections", policy="shop/api") == 30
    assert of("member_worst_connections", policy="shop/jobs") is None
    assert of("condition", type="WithinBudget", status="True") == 1
    metrics.of_policies.tell_budget(BUDGET, None)
    assert of("connections") is None
