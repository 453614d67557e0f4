"""`make bench`: what Paceline costs, measured against what one would run without it.

python -m tests.benchmarks [--only NAME] [--json]

PAIRS and SECONDS of the environment say how often and how long each side is measured.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.benchmarks import auth, cached_answer, dashboard, hello, memory, products, retune, scale_up, serve
from tests.benchmarks.effort import Effort
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores

Bench = Callable[[Effort, Cores], Iterable[Row]]

BENCHES: Final[dict[str, Bench]] = {
    "serve": serve.run,
    "json": hello.run,
    "products": products.run,
    "expensive-data": cached_answer.run,
    "auth": auth.run,
    "dashboard": dashboard.run,
    "retune": retune.run,
    "memory": memory.run,
    "scale-up": scale_up.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=sorted(BENCHES), help="run this one alone")
    parser.add_argument("--json", action="store_true", help="one JSON object a row on stdout")
    options = parser.parse_args()
    effort = Effort(int(os.environ.get("PAIRS", "7")), float(os.environ.get("SECONDS", "1.5")))
    cores = Cores.of_this_machine()  # once: each bench binds this process to the loading core
    for name, run in BENCHES.items():
        if options.only in {None, name}:
            rows = run(effort, cores)
            if options.json:
                for row in rows:
                    print(json.dumps(row.to_json()), flush=True)
            else:
                Console(width=None if sys.stdout.isatty() else 150).print(_table(name, rows))
    return 0


def _table(name: str, rows: Iterable[Row]) -> Table:
    table = Table(title=f"{name}: medians of interleaved pairs; a ratio above 1 means that ours is better")
    for column in ("peer", "metric", "ours", "theirs", "ratio", "goal", "met"):
        table.add_column(column, justify="left" if column in {"peer", "metric"} else "right")
    for row in rows:
        goal = "" if row.goal is None else f"≥ {row.goal:.2f}"
        met = "" if row.met is None else "yes" if row.met else "[red]no[/]"
        table.add_row(row.peer, row.metric, f"{row.ours:,.1f}", f"{row.theirs:,.1f}", f"{row.ratio:.3f}", goal, met)
    return table


if __name__ == "__main__":
    sys.exit(main())
