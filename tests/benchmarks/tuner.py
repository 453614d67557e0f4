"""`make bench-tuner`: where the tuner ends, beside the simpler ways, on every scenario of the suite.

python -m tests.benchmarks.tuner [--only PREFIX] [--seeds N] [--baselines NAME,...] [--calm N]
                                 [--prefer latency] [--without-budget] [--results FILE] [--json | --markdown]
python -m tests.benchmarks.tuner --read FILE [--json | --markdown]

A ratio is ours over theirs of the regret over time; below 1 means that ours is better. Every run begins at the same bad
setting, in which a fleet may be swamped: hence means over scenarios are geometric. Fixed rules are put in force at the
end of the first interval, when Paceline decides for the first time as well; `static` alone knows the best setting
beforehand, and has it from the start: it is a bound, not a goal. `--results` keeps what is told of each run, a line a
run, as each scenario is done; `--read` prints it again without playing anything.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import geometric_mean, mean, median
from typing import Any, Final

from paceline_operator.simulation.objective import judge_of
from paceline_operator.simulation.scenario import Scenario, load_scenario
from paceline_operator.simulation.simulate import Plan, from_the_best, played, side_by_side
from rich.console import Console

from tests.benchmarks.tuner_tables import goal_table, markdown, max_regret, mean_regret, scenario_table

SCENARIOS: Final = Path(__file__).parents[1] / "simulation" / "scenarios"
BASELINES: Final = ("start", "defaults", "double-cores", "cores", "hpa", "random", "bayes", "static")
BASELINE_SEEDS: Final = (1,)
FAULTS: Final = ("fault-", "noise-15", "rollout")
GOALS: Final = (
    ("regret, mean, without noise and faults", 1.03),
    ("regret, max, without noise and faults", 1.10),
    ("regret, mean, at 15 % noise", 1.06),
    ("regret, max, at 15 % noise", 1.15),
    ("regret, max, after faults", 1.15),
    ("T10, median", 2),
    ("T10, max", 6),
    ("unsafe trials", 0),
    ("growths after an interval in which the objective was truly met with room", 0),
)
CALM_GOALS: Final = (
    ("from the best: changes other than probes in 100 intervals", 1),
    ("from the best: probes in 100 intervals", 4),
    ("from the best: regret over time, max", 1.01),
)
CALM_INTERVALS: Final = 100
STEADY: Final = "-constant"
"""Scenarios under a load that stays are played from their best setting, too."""
FROM_THE_BEST: Final = " from the best"


def main() -> int:
    options = _options()
    if options.read:
        told = [json.loads(line) for line in options.read.read_text().splitlines()]
    else:
        told = list(_told(options))
    ours, theirs, calm = sorted_out(told)
    goals = [
        *goal_rows(GOALS, figures(ours, latency=options.prefer == "latency")),
        *goal_rows(CALM_GOALS, calm_figures(calm)),
        *peer_rows(ours, theirs),
    ]
    if options.json:
        _print_rows(scenario_rows(ours, theirs) if options.read else ())
        _print_rows(goals)
    elif options.markdown:
        print(markdown(ours, theirs, goals))
    else:
        console = Console(width=None if sys.stdout.isatty() else 180)
        console.print(scenario_table(ours, theirs), goal_table(goals))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.tuner", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="scenarios whose name begins so")
    parser.add_argument("--prefer", choices=("cost", "latency"), default="cost", help="what all policies prefer")
    parser.add_argument("--without-budget", action="store_true", help="pools are limited by their bounds alone")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--baselines", default=",".join(BASELINES), help="names, separated by commas")
    parser.add_argument("--calm", type=int, default=1, help="seeds of the runs that begin at the best setting")
    parser.add_argument("--results", type=Path, help="file for what is told of each run, as each scenario is done")
    parser.add_argument("--read", type=Path, help="such a file: print it, play nothing")
    parser.add_argument("--json", action="store_true", help="one JSON object a row on stdout, as each scenario is done")
    parser.add_argument("--markdown", action="store_true", help="the tables of docs/tuning.md")
    return parser.parse_args()


Results = Mapping[str, Sequence[Mapping[str, Any]]]


def _told(options: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
    """What is told of each run; a scenario's are written as soon as it is done, so that a run cut short keeps them."""
    found = (load_scenario(file) for file in sorted(SCENARIOS.glob(f"{options.only}*.yaml")))
    scenarios = [scenario.preferring(options.prefer) for scenario in found]
    if options.without_budget:
        scenarios = [scenario.without_budget() for scenario in scenarios]
    baselines = [name for name in options.baselines.split(",") if name]
    plan = {"paceline": range(1, options.seeds + 1), **dict.fromkeys(baselines, BASELINE_SEEDS)}
    if options.results:
        options.results.write_text("")
    work = partial(runs_of, plan=plan, calm=range(1, options.calm + 1))
    for count, finished in enumerate(side_by_side(scenarios, work), start=1):
        print(
            f"  {finished.scenario}: {finished.seconds:.0f} s, {count} of {len(scenarios)}", file=sys.stderr, flush=True
        )
        if options.results:
            with options.results.open("a") as file:
                file.writelines(json.dumps(result) + "\n" for result in finished.results)
        if options.json:
            _print_rows(scenario_rows(*sorted_out(finished.results)[:2]))
        yield from finished.results


def _print_rows(rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        print(json.dumps(row), flush=True)


def runs_of(scenario: Scenario, *, plan: Plan, calm: Sequence[int]) -> list[dict[str, Any]]:
    """All runs of a scenario, those that begin with its best setting included; one grid judges all."""
    judge = judge_of(scenario)
    steady = scenario.name.endswith(STEADY)
    return [*played(judge, plan), *(from_the_best(judge, calm, CALM_INTERVALS) if steady else ())]


def sorted_out(told: Iterable[Mapping[str, Any]]) -> tuple[Results, Results, Sequence[Mapping[str, Any]]]:
    """By scenario: ours of all seeds, theirs of one, since most of them do not depend on it; ours from the best."""
    ours: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    theirs: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    calm = []
    for result in told:
        if result["scenario"].endswith(FROM_THE_BEST):
            calm.append(result)
        else:
            (ours if result["controller"] == "paceline" else theirs)[result["scenario"]].append(result)
    return ours, theirs, calm


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


def figures(ours: Results, *, latency: bool = False) -> tuple[float | None, ...]:
    """In the order of `GOALS`; None where no scenario of the kind was run."""
    calm = [result for name, results in ours.items() if not name.startswith(FAULTS) for result in results]
    noisy = [result for name, results in ours.items() if name.startswith("noise-15") for result in results]
    faulty = [result for name, results in ours.items() if name.startswith("fault-") for result in results]
    every = [result for results in ours.values() for result in results]
    t10s = [len(result["decisions"]) if result["t10"] is None else result["t10"] for result in calm]
    return (
        mean_regret(calm),
        max_regret(calm),
        mean_regret(noisy),
        max_regret(noisy),
        max_regret(faulty),
        median(t10s) if t10s else None,
        max(t10s, default=None),
        sum(result["unsafeTrials"] for result in every),
        # With `prefer: latency` growing while the objective is met is what was asked for.
        None if latency else sum(result["growthsWhileMet"] for result in every),
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


if __name__ == "__main__":
    sys.exit(main())
