"""`simulator`: requests per second of the compiled simulator beside a SimPy model of the same path, in turn.

Both play the same fleet: W event loops a pod under one quota, a pool a loop, a database with lognormal times that
grow with what is active in it. SimPy's model notes latencies alone; ours keeps its histograms as well. Both must
come to the same p95, or they do not model the same thing.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from os import environ
from statistics import median
from typing import Final

import numpy as np
from paceline_operator.simulation.kernel import play
from paceline_operator.simulation.records import Fleet, Load

from tests.benchmarks.effort import Effort
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores
from tests.benchmarks.simpy_fleet import SimpyFleet

BENCH: Final = "simulator"
PEER: Final = "SimPy"
GOAL: Final = 20.0
ALIKE: Final = 0.1
PODS: Final = 4
RATE: Final = 1000.0
CPU_SECONDS: Final = 0.004
WARM_UP: Final = 5.0
OURS_SECONDS: Final = 200
THEIRS_SECONDS: Final = 40
FLEET: Final = Fleet(
    workers=2,
    pool=3,
    cpu_limit=2.0,
    cpu_sigma=0.47,
    query_seconds=0.006,
    query_sigma=0.83,
    contention=0.002,
    coherency=0.0,
    pods_stood_for=1.0,
)
COMPILE: Final = "import tests.benchmarks.simulator as one; one.ours(1, 10)"


@dataclass(frozen=True)
class Pace:
    """What one run played: requests a second of computing, and their p95."""

    per_second: float
    p95_seconds: float


def run(effort: Effort, cores: Cores) -> Iterator[Row]:
    ours(1, 10)  # compiles, or loads what was compiled
    paces = []
    for number in range(effort.pairs):
        print(f"{BENCH}: pair {number + 1} of {effort.pairs}", file=sys.stderr)
        mine, other = ours(number, OURS_SECONDS), theirs(number, THEIRS_SECONDS)
        _same(mine, other)
        paces.append((mine, other))
    fast, slow = ([pair[side].per_second for pair in paces] for side in (0, 1))
    ratio = median(mine / other for mine, other in zip(fast, slow, strict=True))
    yield Row(BENCH, PEER, "requests/s simulated", median(fast), median(slow), ratio, GOAL)
    p95s = [median(pair[side].p95_seconds * 1e3 for pair in paces) for side in (0, 1)]
    yield Row(BENCH, PEER, "p95 ms, which must agree", p95s[0], p95s[1], p95s[1] / p95s[0])
    cold, warm = start_seconds()
    yield Row(BENCH, "compiled before", "ms to start, compiling all", cold * 1e3, warm * 1e3, warm / cold)


def ours(seed: int, seconds: int) -> Pace:
    """The compiled one; what is played before the warm-up counts as well."""
    started = time.process_time()
    played = play(seed, np.full(seconds, RATE), np.full(PODS, CPU_SECONDS), Load(WARM_UP, 1.0, 1.0), FLEET)
    elapsed = time.process_time() - started
    return Pace(RATE * seconds / elapsed, float(np.percentile(played.latencies, 95)))


def theirs(seed: int, seconds: int) -> Pace:
    """SimPy's."""
    started = time.process_time()
    model = SimpyFleet(FLEET, RATE, PODS, CPU_SECONDS, seed)
    latencies = model.play(seconds, WARM_UP)
    elapsed = time.process_time() - started
    return Pace(model.arrived / elapsed, float(np.percentile(latencies, 95)))


def _same(mine: Pace, other: Pace) -> None:
    if abs(mine.p95_seconds / other.p95_seconds - 1) > ALIKE:
        raise RuntimeError(f"the models differ: p95 {mine.p95_seconds:.4f} s and {other.p95_seconds:.4f} s")


def start_seconds() -> tuple[float, float]:
    """A new process up to its first result, with an empty cache of compiled code and with a filled one."""
    with tempfile.TemporaryDirectory(prefix="paceline-numba-") as cache:
        found = []
        for _ in range(2):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", COMPILE], check=True, env={**environ, "NUMBA_CACHE_DIR": cache})
            found.append(time.perf_counter() - started)
    return found[0], found[1]
