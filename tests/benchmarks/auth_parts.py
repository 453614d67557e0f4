"""What a token check with a user lookup is made of: the same application, one part more at a time."""

import sys
from collections.abc import Iterator
from statistics import median
from typing import Final

from tests.benchmarks.closed_loop import Request
from tests.benchmarks.effort import Effort
from tests.benchmarks.pairs import sample
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores, Server

PARTS: Final = {
    "a route that answers two fields": "/parts/route",
    "+ bearer token taken by a dependency": "/parts/bearer",
    "+ token verified": "/parts/token",
    "+ row from PostgreSQL, pool as it comes": "/parts/untuned",
    "the same with a tuned pool": "/auth/me",
}


def rows(server: Server, headers: dict[str, str], cores: Cores, effort: Effort) -> Iterator[Row]:
    """CPU microseconds a request of each part, beside the part before it; medians of rounds over all parts."""
    measured: dict[str, list[float]] = {part: [] for part in PARTS}
    for number in range(effort.pairs):
        print(f"auth, its parts: round {number + 1} of {effort.pairs}", file=sys.stderr)
        for part, path in PARTS.items():
            measured[part].append(sample(server, cores, effort.seconds, Request(path, headers)).cpu_microseconds)
    costs = {part: median(each) for part, each in measured.items()}
    before = "nothing"
    for part, cost in costs.items():
        theirs = costs.get(before, cost)
        yield Row("auth", before, f"{part}: CPU µs/request", cost, theirs, theirs / cost)
        before = part
