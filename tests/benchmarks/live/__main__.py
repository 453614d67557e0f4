"""`make bench-live`: real pods, tuned by the operator from bad starts, beside the best of a grid of settings.

python -m tests.benchmarks.live [--only NAME] [--json]

SECONDS of the environment is how long a point of the grid is measured, PAIRS how often what it ended with is compared.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from paceline.local.postgres import postgres

from tests.benchmarks import command
from tests.benchmarks.effort import Effort
from tests.benchmarks.live.grid import GRID, Point, measured, simulated, spearman, warn_unless_calm
from tests.benchmarks.live.service import LivePod, Setting, live_pod
from tests.benchmarks.live.tuning import Tuning, tune
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores

BENCH: Final = "live"
CONNECTIONS: Final = "max_connections=100"
STARTS: Final = (Setting(1, 1), Setting(4, 1), Setting(2, 2))
"""Overloaded; workers without connections; nearly enough connections."""
BEST: Final = 2
"""So many points of the grid are measured again beside what the tuner ended with: the best of noise is not the best."""
TUNING_SECONDS: Final = 60.0
ROUND_SECONDS: Final = 6.0
GOAL: Final = 1 / 1.15
RANKS_GOAL: Final = 0.8
TITLE: Final = "real pods; workers × connections of each; a ratio above 1 means that ours is better"


@dataclass
class Live:
    """Both parts need the grid; it is measured once."""

    _grid: Mapping[Setting, Point] | None = None

    def tuning(self, effort: Effort, cores: Cores) -> Iterator[Row]:
        """What the operator ends with from bad starts, beside the best of the grid."""
        cores = _all(cores)
        with postgres(None, CONNECTIONS) as database_url:
            points = self._measured(database_url, effort, cores)
            tunings = [_tuned(database_url, start, cores) for start in STARTS]
            with live_pod(database_url, GRID[-1], cores) as pod:
                rounds = _rounds(pod, _compared(_p95s(points), tunings), effort.pairs, cores)
        warn_unless_calm([point for each in (points, *rounds) for point in each.values()])
        yield from _tuning_rows(_p95s(points), tunings, [_p95s(each) for each in rounds])
        yield from _safety_rows(tunings)

    def ranks(self, effort: Effort, cores: Cores) -> Iterator[Row]:
        """Whether the simulator puts the same settings in the same order."""
        with postgres(None, CONNECTIONS) as database_url:
            points = self._measured(database_url, effort, _all(cores))
        warn_unless_calm(list(points.values()))
        yield _ranks_row(_p95s(points), effort.seconds)

    def _measured(self, database_url: str, effort: Effort, cores: Cores) -> Mapping[Setting, Point]:
        if self._grid is None:
            print(f"the grid, {effort.seconds:.0f} s a point", file=sys.stderr)
            with live_pod(database_url, GRID[-1], cores) as pod:
                self._grid = measured(pod, GRID, effort.seconds, seed=1, cores=cores)
        return self._grid


def _all(cores: Cores) -> Cores:
    """Pods have more than one worker, and the load is light: nothing is bound to a core."""
    return Cores(cores.serve | cores.load, cores.serve | cores.load)


def _tuned(database_url: str, start: Setting, cores: Cores) -> Tuning:
    with live_pod(database_url, start, cores) as pod:
        return tune(pod, start, TUNING_SECONDS, seed=2)


def _compared(grid: Mapping[Setting, float], tunings: Sequence[Tuning]) -> list[Setting]:
    best = sorted(grid, key=grid.__getitem__)[:BEST]
    return sorted({*best, *(tuning.final for tuning in tunings)})


Round = Mapping[Setting, float]


def _p95s(points: Mapping[Setting, Point]) -> Round:
    return {setting: point.p95_seconds for setting, point in points.items()}


def _rounds(pod: LivePod, settings: Sequence[Setting], count: int, cores: Cores) -> list[Mapping[Setting, Point]]:
    """All settings in turn, again and again, each round in the other order."""
    found = []
    for number in range(count):
        print(f"round {number + 1} of {count}", file=sys.stderr)
        order = settings if number % 2 == 0 else settings[::-1]
        found.append(measured(pod, order, ROUND_SECONDS, seed=100 + number, cores=cores))
    return found


def _tuning_rows(grid: Round, tunings: Sequence[Tuning], rounds: Sequence[Round]) -> Iterator[Row]:
    again = {setting: median(each[setting] for each in rounds) for setting in rounds[0]}
    best = min((setting for setting in again if setting in grid), key=again.__getitem__)
    for tuning in tunings:
        final = tuning.final
        what = f"p95 ms, {tuning.start} became {final}"
        ratio = median(each[best] / each[final] for each in rounds)
        yield Row(BENCH, f"the best of the grid, {best}", what, again[final] * 1e3, again[best] * 1e3, ratio, GOAL)
        before = grid[tuning.start]
        yield Row(BENCH, f"left at {tuning.start}", what, again[final] * 1e3, before * 1e3, before / again[final])


def _safety_rows(tunings: Sequence[Tuning]) -> Iterator[Row]:
    """A ratio is 1 where there is none."""
    for metric, count in (
        ("unsafe trials", sum(tuning.unsafe for tuning in tunings)),
        ("lost requests", sum(tuning.lost for tuning in tunings)),
    ):
        yield Row(BENCH, "none", metric, count, 0, 1.0 if count == 0 else 0.0, 1.0)


def _ranks_row(grid: Round, seconds: float) -> Row:
    played = simulated(GRID, seconds)
    for setting in GRID:
        print(
            f"  {setting}: measured {grid[setting] * 1e3:.1f} ms, simulated {played[setting] * 1e3:.1f} ms",
            file=sys.stderr,
        )
    ranks = spearman(grid, played)
    return Row(BENCH, "the simulator", f"Spearman over {len(GRID)} settings", ranks, 1.0, ranks, RANKS_GOAL)


def main() -> int:
    live = Live()
    benches: Mapping[str, command.Bench] = {"tuning": live.tuning, "ranks": live.ranks}
    return command.run("tests.benchmarks.live", __doc__.splitlines()[0], benches, Effort(5, 10.0), TITLE)


if __name__ == "__main__":
    sys.exit(main())
