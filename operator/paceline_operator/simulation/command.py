"""`paceline-operator simulate`: reads scenarios, runs them, prints a table or JSON lines, draws a picture."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from paceline_operator.core.model.decision import Reason
from paceline_operator.core.model.durations import format_duration
from paceline_operator.errors import UsageError
from paceline_operator.simulation.baselines import CONTROLLERS
from paceline_operator.simulation.plot import draw
from paceline_operator.simulation.scenario import Scenario, load_scenario
from paceline_operator.simulation.simulate import simulate_all

CAPTION: Final = (
    "p95: of the final setting over the objective (with `prefer: economy`, its cost). "
    "regret: that over the same of the best setting of the grid; 1 is best. mean: over all intervals. "
    "T10: the interval from which on 80 % were within 10 % of the best. changes (of them probes). "
    "unsafe: intervals with a setting that breaks a bound or a budget."
)
LEARNING: Final = frozenset({Reason.PROBE.value, "Trial"})


def run_command(files: Sequence[Path], *, seeds: int, controller: str, as_json: bool, plot: Path | None) -> None:
    """All scenarios, seeds 1 to `seeds`.

    Raises:
        UsageError: a file, a name or a number is wrong; says which.
    """
    if controller not in CONTROLLERS:
        raise UsageError(f"--controller {controller} is unknown; there are {', '.join(CONTROLLERS)}")
    if controller == "bayes" and find_spec("bayes_opt") is None:
        raise UsageError("--controller bayes needs bayesian-optimization: pip install bayesian-optimization")
    scenarios = _scenarios(files)
    if plot is not None:
        _check_writable(plot)
    plan, results = {controller: range(1, seeds + 1)}, []
    with _progress() as progress:
        task = progress.add_task("simulating", total=len(scenarios) * seeds)
        for result in simulate_all(scenarios, plan):
            progress.update(task, advance=1, description=f"simulated {result['scenario']}")
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


def _progress() -> Progress:
    """On a terminal; the grid that runs are judged by takes most of the time, so it shows that something goes on."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)


def _check_writable(path: Path) -> None:
    """Before minutes of work, not after."""
    if path.is_dir():
        raise UsageError(f"--plot {path}: is a folder; name a file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--plot {path}: there is no folder {path.parent}")


def _draw(path: Path, scenarios: Sequence[Scenario], results: Sequence[dict[str, Any]]) -> None:
    first = min(results, key=lambda result: (scenarios[0].name != result["scenario"], result["seed"]))
    scenario = next(scenario for scenario in scenarios if scenario.name == first["scenario"])
    try:
        path.write_text(draw(scenario, first))
    except OSError as error:
        raise UsageError(f"--plot {path}: {error.strerror}") from error


def table(results: Sequence[dict[str, Any]]) -> Table:
    """One row a run; narrow enough for 80 columns."""
    title = "how close each run came to the best setting of all"
    made = Table(title=title, caption=CAPTION, caption_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    made.add_column("scenario, seed", no_wrap=True)
    for column in ("best", "final"):
        made.add_column(column, min_width=8)
    for column in ("p95", "regret", "mean", "T10", "changes", "unsafe"):
        made.add_column(column, justify="right", no_wrap=True)
    for result in sorted(results, key=lambda found: (found["scenario"], found["controller"], found["seed"])):
        made.add_row(
            f"{result['scenario']}, {result['seed']}",
            told(result["optimum"]["values"]),
            told(result["final"]["values"]),
            f"{result['final']['objective']:.2f}",
            f"{result['regret']:.3f}",
            f"{result['regretCumulative']:.2f}",
            "never" if result["t10"] is None else str(result["t10"]),
            f"{result['changes']} ({_probes(result)})",
            str(result["unsafeTrials"]),
        )
    return made


def _probes(result: dict[str, Any]) -> int:
    """Changes that were made to learn, not because something was wrong."""
    return sum(bool(decision["changes"]) and decision["reason"] in LEARNING for decision in result["decisions"])


def told(values: dict[str, Any]) -> str:
    """`4 × postgres 5, responses 60s`."""
    pools = ", ".join(f"{name} {size}" for name, size in values["pools"].items())
    caches = "".join(f", {name} {format_duration(cache['ttlSeconds'])}" for name, cache in values["caches"].items())
    return f"{values.get('workers', '?')} × {pools}{caches}"
