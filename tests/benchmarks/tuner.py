"""`make bench-tuner`: where the tuner ends, beside the simpler ways, on every scenario of the suite.

python -m tests.benchmarks.tuner [--only PREFIX] [--seeds N] [--baselines NAME,...] [--calm N] [--json]

A ratio is ours over theirs of the regret over time; below 1 means that ours is better. Runs begin at a bad setting, in
which a fleet may be swamped: hence means over scenarios are geometric. `static` knows the best setting beforehand:
it is a bound, not a goal.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import geometric_mean, mean, median
from typing import Any, Final

from paceline_operator.simulation.scenario import Scenario, load_scenario
from paceline_operator.simulation.simulate import from_the_best, simulate_all
from rich.console import Console
from rich.table import Table

SCENARIOS: Final = Path(__file__).parents[1] / "simulation" / "scenarios"
BASELINES: Final = ("start", "defaults", "double-cores", "cores", "hpa", "random", "bayes", "static")
BASELINE_SEEDS: Final = (1,)
FAULTS: Final = ("fault-", "noise-15", "rollout")
GOALS: Final = (
    ("regret, mean, without noise and faults", 1.05),
    ("regret, max, without noise and faults", 1.15),
    ("regret, mean, at 15 % noise", 1.10),
    ("regret, max, at 15 % noise", 1.25),
    ("regret, max, after faults", 1.15),
    ("T10, median", 3),
    ("T10, max", 6),
    ("unsafe trials", 0),
)
CALM_GOALS: Final = (
    ("from the best: changes other than probes in 100 intervals", 1),
    ("from the best: probes in 100 intervals", 4),
    ("from the best: regret over time, max", 1.01),
)
CALM_INTERVALS: Final = 100
STEADY: Final = "-constant"
"""Scenarios under a load that stays are played from their best setting, too."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.tuner", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="scenarios whose name begins so")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--baselines", default=",".join(BASELINES), help="names, separated by commas")
    parser.add_argument("--calm", type=int, default=1, help="seeds of the runs that begin at the best setting")
    parser.add_argument("--json", action="store_true", help="one JSON object a row on stdout")
    options = parser.parse_args()
    scenarios = [load_scenario(file) for file in sorted(SCENARIOS.glob(f"{options.only}*.yaml"))]
    baselines = tuple(name for name in options.baselines.split(",") if name)
    ours, theirs = measured(scenarios, options.seeds, baselines)
    calm = [
        result
        for scenario in scenarios
        if scenario.name.endswith(STEADY)
        for result in from_the_best(scenario, range(1, options.calm + 1), CALM_INTERVALS)
    ]
    goals = [*goal_rows(GOALS, figures(ours)), *goal_rows(CALM_GOALS, calm_figures(calm)), *peer_rows(ours, theirs)]
    rows = [*scenario_rows(ours, theirs), *goals]
    if options.json:
        for row in rows:
            print(json.dumps(row), flush=True)
    else:
        console = Console(width=None if sys.stdout.isatty() else 180)
        console.print(scenario_table(ours, theirs, baselines), goal_table(goals))
    return 0


Results = Mapping[str, Sequence[Mapping[str, Any]]]


def measured(scenarios: Sequence[Scenario], seeds: int, baselines: Sequence[str]) -> tuple[Results, Results]:
    """Results by scenario: ours of all seeds, theirs of one, since most of them do not depend on it."""
    ours: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    theirs: dict[str, list[Mapping[str, Any]]] = defaultdict(list)

    def said(name: str) -> None:
        print(f"  {name}", file=sys.stderr, flush=True)

    plan = {"paceline": range(1, seeds + 1), **dict.fromkeys(baselines, BASELINE_SEEDS)}
    for result in simulate_all(scenarios, plan, said):
        (ours if result["controller"] == "paceline" else theirs)[result["scenario"]].append(result)
    return ours, theirs


def scenario_rows(ours: Results, theirs: Results) -> Iterable[dict[str, Any]]:
    """One row a scenario and baseline, in the form that all benchmarks share."""
    for name in sorted(ours):
        over_time = mean(result["regretCumulative"] for result in ours[name])
        for baseline in theirs.get(name, ()):
            yield {
                "bench": f"tuner {name}",
                "peer": baseline["controller"],
                "metric": "regret over time",
                "ours": round(over_time, 3),
                "theirs": baseline["regretCumulative"],
                "ratio": round(over_time / baseline["regretCumulative"], 4),
                "goal": 1.0,
                "met": over_time <= baseline["regretCumulative"],
            }


def peer_rows(ours: Results, theirs: Results) -> Iterable[dict[str, Any]]:
    """Ours beside each simpler way, over all scenarios."""
    for peer in sorted({result["controller"] for results in theirs.values() for result in results}):
        told = {
            name: result["regretCumulative"]
            for name, results in theirs.items()
            for result in results
            if result["controller"] == peer
        }
        we = geometric_mean(mean(result["regretCumulative"] for result in ours[name]) for name in told)
        they = geometric_mean(told.values())
        unsafe = sum(
            result["unsafeTrials"] for results in theirs.values() for result in results if result["controller"] == peer
        )
        yield {
            "bench": "tuner",
            "peer": peer,
            "metric": f"regret over time, geometric mean ({peer}: {unsafe} unsafe intervals)",
            "ours": round(we, 4),
            "theirs": round(they, 4),
            "ratio": round(we / they, 4),
            "goal": None if peer == "static" else 1.0,
            "met": peer == "static" or we <= they,
        }


def goal_rows(goals: Sequence[tuple[str, float]], values: Sequence[float | None]) -> Iterable[dict[str, Any]]:
    """What is asked of all scenarios together."""
    for (metric, goal), value in zip(goals, values, strict=True):
        if value is not None:
            yield {
                "bench": "tuner",
                "peer": "the exhaustive grid",
                "metric": metric,
                "ours": round(value, 4),
                "theirs": None,
                "ratio": None,
                "goal": goal,
                "met": value <= goal,
            }


def figures(ours: Results) -> tuple[float | None, ...]:
    """In the order of `GOALS`; None where no scenario of the kind was run."""
    calm = [result for name, results in ours.items() if not name.startswith(FAULTS) for result in results]
    noisy = [result for name, results in ours.items() if name.startswith("noise-15") for result in results]
    faulty = [result for name, results in ours.items() if name.startswith("fault-") for result in results]
    every = [result for results in ours.values() for result in results]
    t10s = [len(result["decisions"]) if result["t10"] is None else result["t10"] for result in calm]
    return (
        _mean(calm),
        _max(calm),
        _mean(noisy),
        _max(noisy),
        _max(faulty),
        median(t10s) if t10s else None,
        max(t10s, default=None),
        sum(result["unsafeTrials"] for result in every),
    )


def calm_figures(calm: Sequence[Mapping[str, Any]]) -> tuple[float | None, ...]:
    """In the order of `CALM_GOALS`, each of the worst run; None where no such run was made."""
    return (
        max((unasked(result["decisions"]) for result in calm), default=None),
        max((moved(result["decisions"]).count("Probe") for result in calm), default=None),
        max((result["regretCumulative"] for result in calm), default=None),
    )


def unasked(decisions: Sequence[Mapping[str, Any]]) -> int:
    """Changes that are neither probes nor the way back from one."""
    reasons = moved(decisions)
    back = sum(first == "Probe" and second == "RolledBack" for first, second in pairwise(reasons))
    return len(reasons) - reasons.count("Probe") - back


def moved(decisions: Sequence[Mapping[str, Any]]) -> list[str]:
    """The reasons of all changes, in order."""
    return [decision["reason"] for decision in decisions if decision["changes"]]


def _mean(results: Sequence[Mapping[str, Any]]) -> float | None:
    return mean(result["regret"] for result in results) if results else None


def _max(results: Sequence[Mapping[str, Any]]) -> float | None:
    return max((result["regret"] for result in results), default=None)


def scenario_table(ours: Results, theirs: Results, baselines: Sequence[str]) -> Table:
    """A row a scenario: ours, then each baseline's regret over time."""
    columns = ("regret", "max", "over time", "T10", "missed", "reversals", "last 20", "unsafe")
    table = Table(title="regret of the final setting and over time; then the regret over time of the others")
    table.add_column("scenario")
    for column in (*columns, *baselines):
        table.add_column(column, justify="right")
    for name in sorted(ours):
        results = ours[name]
        t10s = [result["t10"] for result in results]
        told = {result["controller"]: result["regretCumulative"] for result in theirs.get(name, ())}
        table.add_row(
            name,
            f"{_mean(results):.3f}",
            f"{_max(results):.3f}",
            f"{mean(result['regretCumulative'] for result in results):.2f}",
            "never" if None in t10s else f"{median(t10s):g} ({max(t10s)})",
            f"{mean(result['objectiveViolations'] for result in results):.1f}",
            f"{mean(result['reversalsPer100'] for result in results):.1f}",
            f"{mean(result['changesLast20'] for result in results):.1f}",
            str(sum(result["unsafeTrials"] for result in results)),
            *(f"{told[baseline]:.2f}" if baseline in told else "" for baseline in baselines),
        )
    return table


def goal_table(goals: Iterable[Mapping[str, Any]]) -> Table:
    """What is asked of all scenarios together, and what came out."""
    table = Table(title="all scenarios")
    for column in ("figure", "measured", "theirs", "goal", "met"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for row in goals:
        met = "yes" if row["met"] else "[red]no[/]"
        theirs = "" if row["theirs"] is None else f"{row['theirs']:.3f}"
        goal = "" if row["goal"] is None else f"≤ {row['goal']:g}" if row["theirs"] is None else "≤ theirs"
        table.add_row(row["metric"], f"{row['ours']:.3f}", theirs, goal, met)
    return table


if __name__ == "__main__":
    sys.exit(main())
