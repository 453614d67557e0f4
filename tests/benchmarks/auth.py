"""`auth`: a signed token is checked and its user looked up in PostgreSQL, async against blocking."""

import asyncio
import secrets
import time
from collections.abc import Iterable, Iterator
from typing import Final

import asyncpg
import jwt

from tests.benchmarks import parts, peers
from tests.benchmarks.closed_loop import Request
from tests.benchmarks.databases import databases
from tests.benchmarks.duel import Duel
from tests.benchmarks.effort import Effort
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores, Stack, ours

BENCH = "auth"
TARGET: Final = "bench_auth:app"
TOKEN_SECONDS: Final = 3600
COUNTS: Final = ((1, 1), (2, 1), (4, 1), (8, 1), (1, 8), (2, 4), (2, 8))
"""Workers and threads of the blocking peer."""
SYNC: Final = COUNTS[:4]
PARTS: Final = {
    "a route that answers two fields": "/parts/route",
    "+ bearer token taken by a dependency": "/parts/bearer",
    "+ token verified": "/parts/token",
    "+ row from PostgreSQL, pool as it comes": "/parts/untuned",
    "the same with a tuned pool": "/auth/me",
}
_USERS = """
CREATE TABLE bench_users (id integer PRIMARY KEY, email text NOT NULL);
INSERT INTO bench_users SELECT n, 'user' || n || '@example.org' FROM generate_series(1, 1000) AS n;
"""


def run(effort: Effort, cores: Cores) -> Iterator[Row]:
    if not peers.present("Flask + psycopg2", "flask", "psycopg2", "jwt"):
        return
    with databases(cores) as addresses:
        asyncio.run(_create_users(addresses["DATABASE_URL"]))
        secret = secrets.token_hex(32)
        environment = {**addresses, "BENCH_TOKEN_SECRET": secret}
        request = Request("/auth/me", {"Authorization": f"Bearer {_token(secret)}"})
        mine, metric = ours(TARGET, environment), "token check, user lookup"
        with mine.started(cores) as server:
            made_of = {part: Request(path, request.headers) for part, path in PARTS.items()}
            yield from parts.rows(BENCH, server, made_of, cores, effort)
        kept = peers.fastest(_flasks(environment, COUNTS), cores, request)
        duel = Duel(BENCH, metric, mine, kept, request, goal=4.0, measures_latency=True, latency_goal=4.0)
        yield from duel.rows(effort, cores)
        each = peers.fastest(_flasks({**environment, "BENCH_CONNECT": "each"}, SYNC), cores, request)
        metric = f"{metric}, they connect for each request"
        yield from Duel(BENCH, metric, mine, each, request, measures_latency=True).rows(effort, cores)


def _flasks(environment: dict[str, str], counts: Iterable[tuple[int, int]]) -> list[Stack]:
    return [
        peers.flask("bench_auth_flask:app", environment, workers=workers, threads=threads)
        for workers, threads in counts
    ]


def _token(secret: str) -> str:
    return jwt.encode({"sub": "7", "exp": int(time.time()) + TOKEN_SECONDS}, secret, algorithm="HS256")


async def _create_users(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_USERS)
    finally:
        await connection.close()
