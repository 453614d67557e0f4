"""A listener that has heard a morning of a fleet, for looking at the console."""

import dataclasses
from datetime import UTC, datetime, timedelta

from paceline_operator.console.listener import Listener
from paceline_operator.figures import Conclusion, PodFigures, PolicyFigures, Verdict
from paceline_operator.ports import PolicyKey

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
KEY = PolicyKey("shop", "api")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
KINDS = {"workers": "workers", "postgres": "pool", "products": "cache"}
BUDGET = {
    "connections": 120,
    "worst": 104,
    "used": 41,
    "conditions": [{"type": "WithinBudget", "status": "True"}],
    "members": [
        {"policy": "shop/api", "worst": 64, "message": "8 pods × 8 connections = 64; its share is 64"},
        {"policy": "shop/reports", "worst": 40, "message": "4 pods × 10 connections = 40; only counted"},
    ],
}


class Clock:
    """Time to turn."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def heard(minutes: int = 50) -> tuple[Listener, Clock]:
    """A policy that found its pool too small, grew it and its workers, and was right; and a budget."""
    clock = Clock()
    listener = Listener(clock)
    for minute in range(minutes):
        clock.now = START + timedelta(minutes=minute)
        for key, figures in fleet(minute):
            listener.tell(key, figures)
    listener.tell_budget(PolicyKey("data", "main"), BUDGET)
    return listener, clock


def fleet(minute: int) -> list[tuple[PolicyKey, PolicyFigures]]:
    """What each policy tells in a minute."""
    return [
        (KEY, api(minute)),
        (PolicyKey("shop", "reports"), calm(minute)),
        (PolicyKey("shop", "billing"), PolicyFigures({"Ready": "False"}, conclusion=INVALID)),
    ]


INVALID = Conclusion("InvalidSpec", "spec.pools[0].max: 400 is more than 200; write a smaller number")


def api(minute: int) -> PolicyFigures:
    """Pool and workers grow in minutes 15 and 25."""
    stage = (minute >= 15) + (minute >= 25)
    latency = (0.212, 0.081, 0.038)[stage] * (1 + 0.06 * ((minute * 7) % 5 - 2))
    workers, connections = ((2, 4), (2, 8), (4, 8))[stage]
    values = {"workers": workers, "postgres": connections, "products": 60.0}
    met = "True" if latency <= 0.045 else "False"
    figures = PolicyFigures(
        conditions={"Ready": "True", "ObjectiveMet": met},
        paused=False,
        pods=8,
        applied=7 if minute in (15, 25) else 8,
        values=values,
        recommended=values,
        latency={0.5: latency / 3, 0.95: latency, 0.99: latency * 1.6},
        objective_seconds=0.045,
        wanted_replicas=8,
        mode="Auto",
        quantile=0.95,
        kinds=KINDS,
        conclusion=Conclusion("WithinTolerance", "p95 is within the objective, with room", generation=15 + stage),
        each_pod=tuple(PodFigures(f"api-7d9f-{each}", 15 + stage, acked=True) for each in range(8)),
    )
    return figures if minute not in CHANGES else changed(figures, minute)


CHANGES = {15: ("PoolWaitHigh", ("postgres 4→8",), 0.079), 25: ("LoopLagHigh", ("workers 2→4",), 0.041)}


def changed(figures: PolicyFigures, minute: int) -> PolicyFigures:
    """A minute with a change, and in the second one the verdict of the first."""
    reason, changes, predicted = CHANGES[minute]
    message = "requests wait 120ms for a connection of postgres, 58 % of their time"
    conclusion = Conclusion(reason, message, changes, 16, applied=True, trace_id=TRACE, latency_seconds=0.208)
    judged = Verdict("PoolWaitHigh", "kept", 0.079, 0.081) if minute == 25 else None
    pods = (*(figures.each_pod or ())[:7], PodFigures("api-7d9f-7", 15, trouble="NotConverged: it runs generation 15"))
    told = {"conclusion": conclusion, "changed": reason, "predicted_seconds": predicted, "verdict": judged}
    return dataclasses.replace(figures, **told, each_pod=pods)


def calm(minute: int) -> PolicyFigures:
    """In Recommend: fewer workers would do."""
    values = {"workers": 6.0, "postgres": 10.0}
    return PolicyFigures(
        conditions={"Ready": "True", "ObjectiveMet": "True"},
        paused=False,
        pods=4,
        applied=4,
        values=values,
        recommended={**values, "workers": 4.0},
        latency={0.95: 0.61 + 0.02 * (minute % 3)},
        objective_seconds=2.0,
        mode="Recommend",
        quantile=0.95,
        kinds=KINDS,
        conclusion=Conclusion("WorkersOversized", "4 workers keep the objective with room", ("workers 6→4",)),
    )
