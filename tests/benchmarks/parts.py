"""What a request is made of: routes of one application, each with one part more than the one before."""

import sys
from collections.abc import Iterator, Mapping
from statistics import median

from tests.benchmarks.closed_loop import Request
from tests.benchmarks.effort import Effort
from tests.benchmarks.pairs import CONNECTIONS, sample
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores, Server


def rows(
    bench: str,
    server: Server,
    parts: Mapping[str, Request],
    cores: Cores,
    effort: Effort,
    connections: int = CONNECTIONS,
) -> Iterator[Row]:
    """CPU microseconds a request of each part, beside the part before it; medians of rounds over all parts."""
    measured: dict[str, list[float]] = {part: [] for part in parts}
    for number in range(effort.pairs):
        print(f"{bench}, its parts: round {number + 1} of {effort.pairs}", file=sys.stderr)
        for part, request in parts.items():
            measured[part].append(sample(server, cores, effort.seconds, request, connections).cpu_microseconds)
    costs = {part: median(each) for part, each in measured.items()}
    before = "nothing"
    for part, cost in costs.items():
        theirs = costs.get(before, cost)
        yield Row(bench, before, f"{part}: CPU µs/request", cost, theirs, theirs / cost)
        before = part
