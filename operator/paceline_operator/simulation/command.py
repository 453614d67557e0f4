"""`paceline-operator simulate`: reads scenarios, runs them, prints a table or JSON lines, draws a picture."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from paceline_operator.core.durations import format_duration
from paceline_operator.errors import UsageError
from paceline_operator.simulation.baselines import CONTROLLERS
from paceline_operator.simulation.plot import draw
from paceline_operator.simulation.result import values_by_interval
from paceline_operator.simulation.scenario import Scenario, load_scenario
from paceline_operator.simulation.simulate import simulate_all


def run_command(files: Sequence[Path], *, seeds: int, controller: str, as_json: bool, plot: Path | None) -> None:
    """All scenarios, seeds 1 to `seeds`.

    Raises:
        UsageError: a file, a name or a number is wrong; says which.
    """
    if controller not in CONTROLLERS:
        known = "; ".join(f"{name}: {what}" for name, (_, what) in CONTROLLERS.items())
        raise UsageError(f"--controller {controller} is none of {known}")
    scenarios = _scenarios(files)
    plan, results = {controller: range(1, seeds + 1)}, []
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("simulating", total=len(scenarios))
        for result in simulate_all(scenarios, plan, lambda name: progress.advance(task)):
            results.append(result)
            if as_json:
                sys.stdout.buffer.write(orjson.dumps(result) + b"\n")
                sys.stdout.buffer.flush()
    if plot is not None:
        _draw(plot, scenarios, results)
    if not as_json:
        Console(width=None if sys.stdout.isatty() else 150).print(table(results))


def _scenarios(files: Sequence[Path]) -> list[Scenario]:
    scenarios = [load_scenario(file) for file in files]
    names = [scenario.name for scenario in scenarios]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"scenario {twice[0]} is given twice: name each file's scenario differently")
    return scenarios


def _draw(path: Path, scenarios: Sequence[Scenario], results: Sequence[dict[str, Any]]) -> None:
    first = min(results, key=lambda result: (scenarios[0].name != result["scenario"], result["seed"]))
    scenario = next(scenario for scenario in scenarios if scenario.name == first["scenario"])
    objective = scenario.parsed_policy().objective
    assert objective is not None  # the scenario gives one
    try:
        path.write_text(draw(first, objective.p95.total_seconds(), values_by_interval(scenario, first)))
    except OSError as error:
        raise UsageError(f"--plot {path}: {error.strerror}") from error


def table(results: Sequence[dict[str, Any]]) -> Table:
    """One row a run."""
    made = Table(title="regret: J of the final setting over J of the best of all, on fresh seeds")
    for column in (
        "scenario",
        "seed",
        "best",
        "final",
        "p95/objective",
        "regret",
        "over time",
        "T10",
        "changes",
        "unsafe",
    ):
        made.add_column(column, justify="left" if column in {"scenario", "best", "final"} else "right")
    for result in sorted(results, key=lambda found: (found["scenario"], found["controller"], found["seed"])):
        made.add_row(
            result["scenario"],
            str(result["seed"]),
            told(result["optimum"]["values"]),
            told(result["final"]["values"]),
            f"{result['final']['objective']:.2f}",
            f"{result['regret']:.3f}",
            f"{result['regretCumulative']:.2f}",
            "never" if result["t10"] is None else str(result["t10"]),
            f"{result['changes']} ({result['probes']} probes)",
            str(result["unsafeTrials"]),
        )
    return made


def told(values: dict[str, Any]) -> str:
    """`4 × postgres 5, responses 60s`."""
    pools = ", ".join(f"{name} {size}" for name, size in values["pools"].items())
    caches = "".join(f", {name} {format_duration(cache['ttlSeconds'])}" for name, cache in values["caches"].items())
    return f"{values.get('workers', '?')} × {pools}{caches}"
