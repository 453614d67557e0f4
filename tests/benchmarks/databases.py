"""PostgreSQL and Valkey for the benchmarks, on the core that loads: the serving core is the application's alone."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager

from paceline.local.postgres import postgres
from paceline.local.valkey import valkey
from paceline_api.migrate import migrate

from tests.benchmarks.servers import Cores


@contextmanager
def databases(cores: Cores) -> Iterator[dict[str, str]]:
    """The environment of an application that uses both; the reference API's schema and products are in place."""
    os.sched_setaffinity(0, cores.load)  # inherited by all that is started here
    with postgres(None, "max_connections=200", "shared_buffers=64MB") as dsn, valkey() as url:
        asyncio.run(migrate(dsn))
        yield {"DATABASE_URL": dsn, "REDIS_URL": url}
