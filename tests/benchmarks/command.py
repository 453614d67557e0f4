"""The command line that the benchmarks share: which to run, how long, and rows as a table or as JSON."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping

from rich.console import Console
from rich.table import Table

from tests.benchmarks.effort import Effort
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores

Bench = Callable[[Effort, Cores], Iterable[Row]]


def run(module: str, description: str, benches: Mapping[str, Bench], effort: Effort, title: str) -> int:
    """Runs the benches that the command line asks for; PAIRS and SECONDS of the environment override the effort."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--only", choices=sorted(benches), help="run this one alone")
    parser.add_argument("--json", action="store_true", help="one JSON object a row on stdout")
    options = parser.parse_args()
    effort = Effort(int(os.environ.get("PAIRS", effort.pairs)), float(os.environ.get("SECONDS", effort.seconds)))
    cores = Cores.of_this_machine()  # once: a bench may bind this process to the loading core
    for name, bench in benches.items():
        if options.only in {None, name}:
            rows = bench(effort, cores)
            if options.json:
                for row in rows:
                    print(json.dumps(row.to_json()), flush=True)
            else:
                Console(width=None if sys.stdout.isatty() else 150).print(_table(f"{name}: {title}", rows))
    return 0


def _table(title: str, rows: Iterable[Row]) -> Table:
    table = Table(title=title)
    for column in ("peer", "metric", "ours", "theirs", "ratio", "goal", "met"):
        table.add_column(column, justify="left" if column in {"peer", "metric"} else "right")
    for row in rows:
        goal = "" if row.goal is None else f"≥ {row.goal:.2f}"
        met = "" if row.met is None else "yes" if row.met else "[red]no[/]"
        table.add_row(row.peer, row.metric, f"{row.ours:,.1f}", f"{row.theirs:,.1f}", f"{row.ratio:.3f}", goal, met)
    return table
