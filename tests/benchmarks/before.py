"""`make bench-before BEFORE=FOLDER`: what a change costs. This checkout against another one, with the rows of `serve`.

The other checkout has run `make test` or `make run` once, so that it has a `.venv`. Both serve the same application on
the same core, in interleaved pairs. The interval is that of the mean ratio, at 95 % (Student's t on logarithms).
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import exp, log, sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Final

from tests.benchmarks.pairs import Match, Pair
from tests.benchmarks.serve import APPLICATIONS, BARE, LAYERS, Layer, start
from tests.benchmarks.servers import Checkout, Cores
from tests.benchmarks.sink import sink

MOST_LOSS: Final = 0.03
T_95: Final = 2.09
"""Student's t, two-sided, for twenty pairs; with more pairs the interval is a little too wide."""


@dataclass(frozen=True)
class Interval:
    """The ratio after / before, less is better, and the 95 % interval of its mean."""

    low: float
    ratio: float
    high: float

    @classmethod
    def of(cls, ratios: Sequence[float]) -> "Interval":
        """Worked example: 1.01 and 1.03 in turn, twenty of them: 1.020, from 1.015 to 1.025."""
        logs = [log(ratio) for ratio in ratios]
        half = T_95 * stdev(logs) / sqrt(len(logs))
        return cls(exp(mean(logs) - half), exp(mean(logs)), exp(mean(logs) + half))


def main() -> int:
    """Prints a line for each application and layer; 1 where a loss of CPU time may be above 3 %."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.before", description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    folder = parser.parse_args().checkout.resolve()
    before = Checkout(str(folder / ".venv/bin/python"), folder / "tests/benchmarks/applications")
    pairs, seconds = int(os.environ.get("PAIRS", "20")), float(os.environ.get("SECONDS", "1.5"))
    cores = Cores.of_this_machine()
    worst = 0.0
    with sink() as endpoint:
        for name, module in APPLICATIONS.items():
            for layer in (BARE, *LAYERS):
                measured = _measure(layer, module, endpoint, cores, before, pairs, seconds)
                cpu = Interval.of([pair.ours.cpu_microseconds / pair.theirs.cpu_microseconds for pair in measured])
                rate = Interval.of([pair.theirs.per_second / pair.ours.per_second for pair in measured])
                print(f"{name}, {layer.name}: CPU a request {_text(cpu)}; time a request {_text(rate)}", flush=True)
                worst = max(worst, cpu.high - 1 if layer is not BARE else 0.0)
    return int(worst > MOST_LOSS)


def _measure(
    layer: Layer, module: str, endpoint: str, cores: Cores, before: Checkout, pairs: int, seconds: float
) -> list[Pair]:
    with ExitStack() as stack:
        ours = stack.enter_context(start(layer, module, endpoint, cores))
        theirs = stack.enter_context(start(layer, module, endpoint, cores, before))
        match = Match(ours, theirs, cores)
        return [match.pair(seconds, ours_first=number % 2 == 0) for number in range(pairs)]


def _text(interval: Interval) -> str:
    return f"×{interval.ratio:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


if __name__ == "__main__":
    sys.exit(main())
