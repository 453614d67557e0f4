"""The reference API under load while a backend is killed, started again and frozen: clear answers, bounded queues, no
pool that grows, and recovery without a restart."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
import pytest
from background_load import BackgroundLoad
from breakable import Breakable
from paceline.local.postgres import postgres
from paceline.local.server_process import free_port
from paceline.local.valkey import valkey
from paceline_api.migrate import migrate
from serving import Served, eventually, serve_command, serving

RATE = 40
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


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("backends")
    ports = {"postgres": free_port(), "valkey": free_port()}
    with ExitStack() as stack:
        database = Breakable(partial(postgres, folder / "postgres", port=ports["postgres"]), ports["postgres"])
        memory = Breakable(partial(valkey, folder / "valkey", port=ports["valkey"]), ports["valkey"])
        backends = {"postgres": stack.enter_context(database), "valkey": stack.enter_context(memory)}
        asyncio.run(migrate(database.address))
        environment = {
            "DATABASE_URL": database.address,
            "REDIS_URL": memory.address,
            "API_POSTGRES_LIMIT": str(LIMIT),
            "API_POSTGRES_TIMEOUT_SECONDS": "1",
            "API_REDIS_LIMIT": str(LIMIT),
            "PACELINE_KEEPALIVE_SECONDS": "1",
        }
        command = serve_command("paceline_api.app:app", "--workers", "2")
        api = stack.enter_context(serving(command, folder, environment))
        eventually(lambda: api.management("/readyz") == 200, "the API is ready")
        yield Rig(api, backends)


@pytest.mark.parametrize(
    ("backend", "pool", "path"),
    [("postgres", "postgres", "/products"), ("valkey", "redis", "/cache/any")],
    ids=["PostgreSQL", "Valkey"],
)
def test_a_backend_that_breaks_costs_its_own_routes_and_nothing_else(
    rig: Rig, backend: str, pool: str, path: str
) -> None:
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
    assert failures <= FAILURES | ({"HTTP 404"} if works == 404 else set()), failures
    eventually(lambda: rig.pool(pool)["waiting"] == 0, "nobody waits any more")
    assert rig.pool(pool)["open"] <= 2 * LIMIT
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
    assert seen["inUse"] <= 2 * LIMIT
    assert seen["open"] <= 2 * LIMIT
