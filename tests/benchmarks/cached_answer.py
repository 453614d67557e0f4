"""`expensive-data`: a response that is kept, from memory, against caches that ask Redis each time. Hits alone."""

from collections.abc import Iterator

from tests.benchmarks import peers
from tests.benchmarks.closed_loop import Request
from tests.benchmarks.databases import databases
from tests.benchmarks.duel import Duel
from tests.benchmarks.effort import Effort
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores, ours, stock

BENCH = "expensive-data"
ROUTE = Request("/expensive-data")


def run(effort: Effort, cores: Cores) -> Iterator[Row]:
    with databases(cores) as environment:
        for duel in _duels(environment, cores):
            yield from duel.rows(effort, cores)


def _duels(environment: dict[str, str], cores: Cores) -> Iterator[Duel]:
    """The reference API's route, kept in front of the framework, against each peer."""
    decoded = stock("FastAPI, Redis, json.loads", "bench_redis_cache:app", {**environment, "BENCH_CACHED": "decoded"})
    as_bytes = stock("FastAPI, Redis, bytes", "bench_redis_cache:app", {**environment, "BENCH_CACHED": "bytes"})
    goals = {decoded: 3.0, as_bytes: 3.0}
    if peers.present("fastapi-cache2", "fastapi_cache"):
        goals[peers.peer("fastapi-cache2", "bench_fastapi_cache:app", environment)] = 3.0
    if peers.present("Flask with Redis", "flask"):
        flasks = [peers.flask("bench_flask_cached:app", environment, workers=count) for count in (1, 2, 4)]
        goals[peers.fastest(flasks, cores, ROUTE)] = 8.0
    for theirs, goal in goals.items():
        yield Duel(BENCH, "hit", ours("paceline_api.app:app", environment), theirs, ROUTE, goal=goal)
