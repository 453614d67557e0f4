"""The service that is tuned: its times, its load, its policy, and one pod of it whose values the benchmark sets."""

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvloop
import yaml
from paceline.load.openloop import Plan
from paceline.load.target import parse_target
from paceline.local import pod
from paceline.local.workspace import Workspace

from tests.benchmarks.servers import Cores, free_port, paceline, running
from tests.benchmarks.tuned import Tuned

TARGET: Final = "bench_live:app"
RATE: Final = 40.0
CPU_SECONDS: Final = 0.004
CPU_CV: Final = 0.5
QUERY_SECONDS: Final = 0.080
QUERY_CV: Final = 0.2
MOST_WORKERS: Final = 4
MOST_CONNECTIONS: Final = 8
OBJECTIVE: Final = "140ms"
CONNECTIONS: Final = 32
"""Each is used again before the load generator takes it for stale."""
PATIENCE_SECONDS: Final = 180.0
"""Longer than any queue: a request is lost when the service drops it, not when its client tires."""
REPLACED_SECONDS: Final = 2.0
"""Connections are replaced, as load balancers do: a worker that comes later gets its share."""
POLICY: Final[Mapping[str, Any]] = {
    "objective": {"p95": OBJECTIVE},
    "workers": {"min": 1, "max": MOST_WORKERS},
    "pools": [{"name": "postgres", "min": 1, "max": MOST_CONNECTIONS}],
    "behavior": {"interval": "5s", "minSamples": 120, "cooldown": "5s", "maxChangesPerHour": 120},
}
_ACK_SECONDS: Final = 60.0


class Setting(NamedTuple):
    """What is tuned."""

    workers: int
    connections: int
    """Per worker."""

    def __str__(self) -> str:
        return f"{self.workers} × {self.connections}"

    @property
    def values(self) -> Mapping[str, Any]:
        """As in a tuning document."""
        return {"workers": self.workers, "pools": {"postgres": self.connections}}

    @property
    def allowed(self) -> bool:
        """Within the bounds of the policy."""
        return 1 <= self.workers <= MOST_WORKERS and 1 <= self.connections <= MOST_CONNECTIONS


@dataclass
class LivePod:
    """One `paceline serve` on loopback."""

    tuned: Tuned
    workspace: Workspace
    management_port: int

    def plan(self, seconds: float, seed: int) -> Plan:
        """Poisson arrivals, as the simulator has them."""
        target = parse_target(f"http://127.0.0.1:{self.tuned.server.port}/work")
        return Plan(target, RATE, seconds, CONNECTIONS, PATIENCE_SECONDS, REPLACED_SECONDS, seed)

    def set(self, setting: Setting) -> None:
        """Writes the next document and returns when the pod runs it.

        Raises:
            TimeoutError: it does not.
        """
        self.tuned.write(setting.values)
        uvloop.run(self._runs(setting))

    async def _runs(self, setting: Setting) -> None:
        async with asyncio.timeout(_ACK_SECONDS):
            while await self.setting() != setting:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)

    async def setting(self) -> Setting | None:
        """What runs, once nothing is pending."""
        found = await pod.ask(self.management_port)
        if found is None or found.pending:
            return None
        return Setting(found.workers, found.pools["postgres"])


@contextmanager
def live_pod(database_url: str, start: Setting, cores: Cores) -> Iterator[LivePod]:
    """A pod that starts with these values, and a folder for an operator to tune it from."""
    with tempfile.TemporaryDirectory(prefix="paceline-live-") as name:
        workspace = Workspace(Path(name))
        (workspace.folder / "run").mkdir()
        manifest = workspace.folder / "live.yaml"
        manifest.write_text(yaml.safe_dump(manifest_of()))
        workspace.prepare(manifest, "", anew=True)
        port, management_port = free_port(), free_port()
        command, log = paceline(TARGET, port, management_port), workspace.log("service")
        with running(command, port, _environment(database_url, start, workspace), cores, log) as server:
            workspace.write_target(management_port)
            yield LivePod(Tuned(server, workspace.operator), workspace, management_port)


def manifest_of() -> Mapping[str, Any]:
    """The policy as a file for the operator."""
    target = {"kind": "Process", "name": "live"}
    return {
        "apiVersion": "paceline.dev/v1alpha1",
        "kind": "TuningPolicy",
        "metadata": {"name": "live"},
        "spec": {"targetRef": target, "mode": "Auto", **POLICY},
    }


def _environment(database_url: str, start: Setting, workspace: Workspace) -> Mapping[str, str]:
    return {
        "DATABASE_URL": database_url,
        "PACELINE_RUN_DIR": str(workspace.folder / "run"),
        "PACELINE_TUNING_FILE": str(workspace.document),
        "PACELINE_WORKERS": str(start.workers),
        "BENCH_POOL": str(start.connections),
        "BENCH_CPU_SECONDS": str(CPU_SECONDS),
        "BENCH_CPU_CV": str(CPU_CV),
        "BENCH_QUERY_SECONDS": str(QUERY_SECONDS),
        "BENCH_QUERY_CV": str(QUERY_CV),
    }
