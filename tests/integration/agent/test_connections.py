"""Inside one real pod, as PostgreSQL itself counts: never more connections than the larger of old and new total."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
        thread.join(20)


def applied(served: Served, generation: int) -> dict[str, Any]:
    def state() -> dict[str, Any] | None:
        found = served.state()
        return found if found["tuning"]["generation"] == generation and not found["tuning"]["pending"] else None

    return dict(eventually(state, f"generation {generation} is applied", 40))


def test_moving_workers_and_pools_under_load_never_exceeds_the_larger_total(
    tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POOLED_DSN", postgres_dsn)
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
            started, first = time.monotonic(), len(counts)
            values = {"workers": workers, "pools": {"postgres": limit}}
            wire = {"schema": "paceline.dev/tuning/v1", "generation": generation, "values": values}
            write_atomically(document, orjson.dumps(wire))
            state = applied(served, generation)
            assert (state["values"]["workers"], state["values"]["pools"]["postgres"]) == new
            during = counts[first:]
            most = max(old[0] * old[1], workers * limit)
            assert max(during) <= most, f"{old} to {new}: {max(during)} connections, at most {most}"
            assert len(during) / (time.monotonic() - started) > 20, "looked often enough"
            old = new
    assert load.outcome.lost == []
    assert set(load.outcome.answered) == {200}
    assert max(counts) >= 10, "the load filled the pools"
