"""Inside one real pod, as PostgreSQL itself counts: never more connections than the larger of old and new total."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import orjson
import pytest
from keepalive_load import KeepAliveLoad
from paceline.serve.rundir import write_atomically
from serving import Served, eventually, pod

QUERY = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pooled'"


@contextmanager
def counted(dsn: str) -> Iterator[list[int]]:
    """The pod's connections at the server, looked at about every 10 ms."""
    counts: list[int] = []
    stop = threading.Event()

    async def look() -> None:
        connection = await asyncpg.connect(dsn)
        while not stop.is_set():
            counts.append(await connection.fetchval(QUERY))
            await asyncio.sleep(0.01)
        await connection.close()

    thread = threading.Thread(target=lambda: asyncio.run(look()), name="count connections")
    thread.start()
    try:
        yield counts
    finally:
        stop.set()
        thread.join(30)


def allow(dsn: str, connections: int) -> None:
    """PostgreSQL refuses one more to the role that the pod uses: nothing is missed between two looks."""

    async def alter() -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(f"ALTER ROLE pooled CONNECTION LIMIT {connections}")
        await connection.close()

    asyncio.run(alter())


@pytest.fixture
def role_dsn(postgres_dsn: str) -> Iterator[str]:
    """The address for the role `pooled`, which is no superuser: those have no limit."""

    async def execute(*statements: str) -> None:
        connection = await asyncpg.connect(postgres_dsn)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    asyncio.run(execute("CREATE ROLE pooled LOGIN"))
    yield urlsplit(postgres_dsn)._replace(netloc=f"pooled@{urlsplit(postgres_dsn).netloc.rpartition('@')[2]}").geturl()
    asyncio.run(execute("DROP ROLE pooled"))


def applied(served: Served, generation: int) -> dict[str, Any]:
    def state() -> dict[str, Any] | None:
        found = served.state()
        return found if found["tuning"]["generation"] == generation and not found["tuning"]["pending"] else None

    return dict(eventually(state, f"generation {generation} is applied", 40))


def test_moving_workers_and_pools_under_load_never_exceeds_the_larger_total(
    tmp_path: Path, postgres_dsn: str, role_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POOLED_DSN", role_dsn)
    document = tmp_path / "tuning.json"
    old = (1, 5)
    with (
        pod(tmp_path, "pooled:app", tuning_file=document, keepalive_seconds=1) as served,
        counted(postgres_dsn) as counts,
        KeepAliveLoad(served.port, connections=60) as load,
    ):
        applied(served, 0)
        for generation, new in enumerate([(1, 12), (4, 3), (2, 6), (1, 12), (3, 1), (2, 8)], start=1):
            workers, limit = new
            first, most = len(counts), max(old[0] * old[1], workers * limit)
            allow(postgres_dsn, most)
            values = {"workers": workers, "pools": {"postgres": limit}}
            wire = {"schema": "paceline.dev/tuning/v1", "generation": generation, "values": values}
            write_atomically(document, orjson.dumps(wire))
            state = applied(served, generation)
            assert (state["values"]["workers"], state["values"]["pools"]["postgres"]) == new
            highest = max(counts[first:], default=0)
            assert highest <= most, f"{old} to {new}: {highest} connections, at most {most}"
            old = new
        eventually(lambda: max(counts) >= 10, "the load fills the pools")
    assert load.outcome.lost == []
    assert set(load.outcome.answered) == {200}, "PostgreSQL has refused connections"
