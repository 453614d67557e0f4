"""The reference API under load while a backend is killed, started again and frozen: clear answers, bounded queues, no
pool that grows, and recovery without a restart."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from background_load import BackgroundLoad
from breakable import Breakable
from mongo import MISSING, listens, mongo, mongo_program
from paceline.local.postgres import postgres
from paceline.local.server_process import free_port, running
from paceline.local.valkey import valkey
from paceline_api.migrate import migrate
from serving import Served, eventually, serve_command, serving

RATE = 40
WORKERS = 2
LIMIT = 4
FAILURES = {"HTTP 502", "HTTP 503", "HTTP 504"}


@dataclass(frozen=True)
class Rig:
    """The API with its backends by name."""

    api: Served
    backends: dict[str, Breakable]

    def status(self, path: str) -> int:
        return self.api.get(path)[0]

    def pool(self, name: str) -> dict[str, Any]:
        return dict(self.api.state()["pools"][name])


@contextmanager
def upstream(folder: Path, port: int) -> Iterator[str]:
    """The stand-in for another service, as development has it."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "uvicorn", "paceline_api.upstream:app", "--port", str(port)]
    log = folder / "upstream.log"
    with running(command, program="upstream", log=log, is_ready=lambda _: listens(port), stop=signal.SIGTERM):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("backends")
    servers = {"postgres": postgres, "valkey": valkey, "upstream": upstream}
    if mongo_program():
        servers["mongo"] = mongo
    with ExitStack() as stack:
        backends = {}
        for name, server in servers.items():
            port = free_port()
            backends[name] = stack.enter_context(Breakable(partial(server, folder / name, port=port), port))
        asyncio.run(migrate(backends["postgres"].address))
        environment = {
            "DATABASE_URL": backends["postgres"].address,
            "REDIS_URL": backends["valkey"].address,
            **({"MONGO_URL": backends["mongo"].address} if "mongo" in backends else {}),
            "UPSTREAM_URL": backends["upstream"].address,
            **{f"API_{pool}_LIMIT": str(LIMIT) for pool in ("POSTGRES", "REDIS", "MONGO", "UPSTREAM")},
            **{f"API_{pool}_TIMEOUT_SECONDS": "1" for pool in ("POSTGRES", "MONGO")},
            "API_UPSTREAM_ATTEMPT_SECONDS": "0.5",
            "API_UPSTREAM_DEADLINE_SECONDS": "1",
            "PACELINE_KEEPALIVE_SECONDS": "1",
        }
        command = serve_command("paceline_api.app:app", "--workers", str(WORKERS))
        api = stack.enter_context(serving(command, folder, environment))
        eventually(lambda: api.management("/readyz") == 200, "the API is ready")
        eventually(lambda: len(api.state()["workers"]) == WORKERS, "all workers are there")
        yield Rig(api, backends)


@pytest.mark.parametrize(
    ("backend", "pool", "path"),
    [
        ("postgres", "postgres", "/products"),
        ("valkey", "redis", "/cache/any"),
        ("mongo", "mongo", "/documents"),
        ("upstream", "upstream", "/users/1"),
    ],
    ids=["PostgreSQL", "Valkey", "MongoDB", "another service"],
)
def test_a_backend_that_breaks_costs_its_own_routes_and_nothing_else(
    rig: Rig, backend: str, pool: str, path: str
) -> None:
    if backend not in rig.backends:
        pytest.skip(MISSING)
    broken = rig.backends[backend]
    works = rig.status(path)
    assert works in {200, 404}
    workers = {worker["pid"] for worker in rig.api.state()["workers"]}
    with BackgroundLoad({f"http://127.0.0.1:{rig.api.port}{path}": RATE}) as load:
        broken.kill()
        _fails_clearly(rig, path)
        _everything_else_stands(rig, pool)
        broken.start()
        eventually(lambda: rig.status(path) == works, "it works again after the restart")
        broken.freeze()
        _fails_clearly(rig, path)
        _everything_else_stands(rig, pool)
        broken.thaw()
        eventually(lambda: rig.status(path) == works, "it works again after the pause")
    failures = set(load.summaries[0].total.failures)
    assert failures <= FAILURES | ({"HTTP 404"} if works == 404 else set()), rig.api.stderr
    eventually(lambda: rig.pool(pool)["waiting"] == 0, "nobody waits any more")
    assert rig.pool(pool)["open"] <= WORKERS * LIMIT
    assert {worker["pid"] for worker in rig.api.state()["workers"]} == workers, "no worker was restarted"


def _fails_clearly(rig: Rig, path: str) -> None:
    """The load runs on; what it gets is a problem that says what to do."""

    def problem() -> dict[str, Any] | None:
        status, body = rig.api.get(path)
        return orjson.loads(body) if f"HTTP {status}" in FAILURES else None

    found = eventually(problem, "the route says that its backend is away")
    assert found.keys() == {"error", "detail", "request_id"}


def _everything_else_stands(rig: Rig, pool: str) -> None:
    assert rig.status("/openapi.json") == 200
    assert rig.api.management("/livez") == 200
    assert rig.api.management("/readyz") == 200, "a pod without its database is still a pod: others would fail as well"
    seen = rig.pool(pool)
    assert seen["inUse"] <= WORKERS * LIMIT
    assert seen["open"] <= WORKERS * LIMIT
