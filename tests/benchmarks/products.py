"""`products`: a page of 100 rows from PostgreSQL, straight to bytes, against ORM objects through jsonable_encoder."""

from collections.abc import Iterator

from tests.benchmarks.closed_loop import Request
from tests.benchmarks.databases import databases
from tests.benchmarks.duel import Duel
from tests.benchmarks.effort import Effort
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores, ours, stock

BENCH = "products"


def run(effort: Effort, cores: Cores) -> Iterator[Row]:
    with databases(cores) as environment:
        yield from Duel(
            BENCH,
            "100 rows",
            ours("paceline_api.app:app", environment),
            stock("SQLAlchemy ORM + jsonable_encoder", "bench_orm:app", environment),
            request=Request("/products?limit=100"),
            goal=5.0,
            measures_latency=True,
        ).rows(effort, cores)
