"""Metrics of each policy and budget, as of its latest pass. They go with it: as many series as there are policies.

`policy` and `budget` are `NAMESPACE/NAME` in one label: a scrape gives the label `namespace` to the operator's own pod.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from paceline_operator.core.model.decision import Reason
from paceline_operator.figures import PolicyFigures, Verdict, conditions_in, merged
from paceline_operator.ports import PolicyKey

STATES: Final = ("True", "False", "Unknown")
CHANGING: Final = (
    Reason.LOOP_LAG_HIGH,
    Reason.POOL_WAIT_HIGH,
    Reason.POOL_OVERSIZED,
    Reason.WORKERS_OVERSIZED,
    Reason.CACHE_MISSES_HIGH,
    Reason.PROBE,
    Reason.ROLLED_BACK,
)
"""Reasons whose counts begin at zero; rarer ones appear with their first change."""
OUTCOMES: Final = ("applied", "kept", "rolled_back", "dropped")
_RATIOS: Final = (0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0)


@dataclass(slots=True)
class _Policy:
    """What was last said of a policy, and how often it was changed."""

    said: PolicyFigures = field(default_factory=PolicyFigures)
    changes: Counter[tuple[str, str]] = field(
        default_factory=lambda: Counter({(reason.value, outcome): 0 for reason in CHANGING for outcome in OUTCOMES})
    )


class PolicyMetrics(Collector):
    """The table. `tell` and `tell_budget` are called once a pass."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._policies: dict[PolicyKey, _Policy] = {}
        self._budgets: dict[PolicyKey, Mapping[str, Any]] = {}
        self._advice = Histogram(
            "paceline_operator_prediction_ratio",
            "Measured p95 of a judged change over the p95 that was predicted; 1: as predicted, above: slower.",
            buckets=_RATIOS,
            registry=registry,
        )
        registry.register(self)

    def tell(self, key: PolicyKey, figures: PolicyFigures | None) -> None:
        """Fulfils `figures.Figures`."""
        if figures is None:
            self._policies.pop(key, None)
            return
        policy = self._policies.setdefault(key, _Policy())
        policy.said = merged(policy.said, figures)
        if figures.changed:
            policy.changes[figures.changed, "applied"] += 1
        if figures.verdict:
            policy.changes[figures.verdict.reason, figures.verdict.outcome] += 1
            self._judge(figures.verdict)

    def tell_budget(self, key: PolicyKey, status: Mapping[str, Any] | None) -> None:
        """The status of a budget after a pass; None where it is gone."""
        if status is None:
            self._budgets.pop(key, None)
        else:
            self._budgets[key] = status

    def collect(self) -> Iterable[Metric]:
        """Fulfils `Collector`."""
        yield from _of_policies({str(key): policy for key, policy in self._policies.items()})
        yield from _of_budgets({str(key): status for key, status in self._budgets.items()})

    def _judge(self, verdict: Verdict) -> None:
        if verdict.predicted_seconds and verdict.observed_seconds and verdict.outcome != "dropped":
            self._advice.observe(verdict.observed_seconds / verdict.predicted_seconds)


def _gauge(name: str, text: str, samples: Iterable[tuple[Mapping[str, str], float | None]]) -> Metric:
    found = [(labels, value) for labels, value in samples if value is not None]
    names = list(found[0][0]) if found else []
    family = GaugeMetricFamily(name, text, labels=names)
    for labels, value in found:
        family.add_metric([labels[each] for each in names], value)
    return family


def _of_policies(policies: Mapping[str, _Policy]) -> Iterator[Metric]:
    said = {key: policy.said for key, policy in policies.items()}

    def single(name: str, text: str, of: str) -> Metric:
        return _gauge(
            f"paceline_policy_{name}", text, (({"policy": k}, _number(getattr(s, of))) for k, s in said.items())
        )

    def several(name: str, text: str, label: str, of: str) -> Metric:
        samples = (
            ({"policy": key, label: f"{each}"}, value)
            for key, figures in said.items()
            for each, value in (getattr(figures, of) or {}).items()
        )
        return _gauge(f"paceline_policy_{name}", text, samples)

    yield several("latency_seconds", "Latency of the latest whole window.", "quantile", "latency")
    yield _gauge(
        "paceline_policy_objective_seconds",
        "What the objective allows, at the quantile that it is about: 0.95, or 0.99 where the policy says so.",
        (
            ({"policy": key, "quantile": f"{figures.quantile or 0.95}"}, _number(figures.objective_seconds))
            for key, figures in said.items()
        ),
    )
    yield _gauge(
        "paceline_policy_objective_met",
        "Whether the latest whole window met the objective: 1 or 0; absent where it cannot be told.",
        (({"policy": key}, _met(figures)) for key, figures in said.items()),
    )
    yield several("value", "Values in force: processes, connections of a worker, seconds.", "tunable", "values")
    yield several("recommended_value", "Values that are recommended; in Auto they follow.", "tunable", "recommended")
    yield single("pods", "Pods of the target.", "pods")
    yield single("pods_applied", "Pods that run the values in force.", "applied")
    yield single(
        "predicted_p95_seconds", "What was predicted of the latest change that promised a gain.", "predicted_seconds"
    )
    yield single(
        "wanted_replicas",
        "Pods that meet the objective with room, with the values in force or recommended.",
        "wanted_replicas",
    )
    yield single("paused", "Whether an annotation pauses it.", "paused")
    yield _conditions("policy", {key: figures.conditions for key, figures in said.items()})
    yield _changes(policies)


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _met(figures: PolicyFigures) -> float | None:
    state = figures.conditions.get("ObjectiveMet")
    return float(state == "True") if state in ("True", "False") else None


def _conditions(kind: str, found: Mapping[str, Mapping[str, str]]) -> Metric:
    samples = (
        ({kind: key, "type": name, "status": state}, float(state == now))
        for key, conditions in found.items()
        for name, now in conditions.items()
        for state in STATES
    )
    return _gauge(f"paceline_{kind}_condition", "1 for the status that a condition has, else 0.", samples)


def _changes(policies: Mapping[str, _Policy]) -> Metric:
    text = "Changes by reason: applied, and of those that are judged what became of them. Since the operator's start."
    family = CounterMetricFamily("paceline_policy_changes", text, labels=["policy", "reason", "outcome"])
    for key, policy in policies.items():
        for (reason, outcome), count in policy.changes.items():
            family.add_metric([key, reason, outcome], count)
    return family


def _of_budgets(budgets: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    def single(name: str, text: str, of: str) -> Metric:
        samples = (({"budget": key}, _number(status.get(of))) for key, status in budgets.items())
        return _gauge(f"paceline_budget_{name}", text, samples)

    yield single("connections", "What members may use: the maximum less what is reserved.", "connections")
    yield single("used_connections", "Open now, as pods report.", "used")
    yield single("worst_connections", "The most that pods can open, with every pod that there may be.", "worst")
    yield single("pods", "The most pods that members may run.", "pods")
    yield _gauge(
        "paceline_budget_member_worst_connections",
        "The most that the pods of one member can open.",
        (
            ({"budget": key, "policy": str(member["policy"])}, _number(member.get("worst")))
            for key, status in budgets.items()
            for member in status.get("members") or ()
        ),
    )
    yield _conditions("budget", {key: conditions_in(status) for key, status in budgets.items()})
