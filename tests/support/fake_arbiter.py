"""The agent as a real process, with fake workers that a fake arbiter keeps at the count asked for."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from paceline.serve.rundir import write_atomically
from serving import Served, eventually, serving

FAKE_WORKER = Path(__file__).with_name("fake_worker.py")


class AgentPod:
    """What the tests do to it and ask of it."""

    def __init__(self, served: Served, document: Path) -> None:
        self.served = served
        self.document = document
        self.options: tuple[str, ...] = ()
        """How workers that start from now on behave, see fake_worker.py."""
        self.workers: list[subprocess.Popen[bytes]] = []

    def writes(self, generation: int, **values: Any) -> None:
        wire = {"schema": "paceline.dev/tuning/v1", "generation": generation, "values": values}
        write_atomically(self.document, orjson.dumps(wire))

    def state(self) -> dict[str, Any]:
        return self.served.state()

    def tuning(self) -> dict[str, Any]:
        return dict(self.state()["tuning"])

    def until(self, condition: Callable[[dict[str, Any]], Any], what: str) -> dict[str, Any]:
        """Keeps the workers at the count asked for until `/state` fulfils the condition."""

        def look() -> dict[str, Any] | None:
            self.keep_workers()
            state = self.state()
            return state if condition(state) else None

        found: dict[str, Any] = eventually(look, what)
        return found

    def applied(self, generation: int) -> dict[str, Any]:
        def is_applied(state: dict[str, Any]) -> bool:
            return state["tuning"]["generation"] == generation and not state["tuning"]["pending"]

        return self.until(is_applied, f"generation {generation} is applied")

    def keep_workers(self) -> None:
        asked = self.served.run.read_workers() or 0
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < asked:
            command = [sys.executable, str(FAKE_WORKER), str(self.served.run.path), *self.options]
            self.workers.append(subprocess.Popen(command))
        for worker in self.workers[: len(self.workers) - asked]:
            worker.send_signal(signal.SIGTERM)


@contextmanager
def agent_pod(folder: Path, **settings: object) -> Iterator[AgentPod]:
    """Settings are PACELINE_* names in lower case; the document is `tuning.json` in the folder."""
    document = folder / "tuning.json"
    environment = {"PACELINE_TUNING_FILE": str(document)}
    environment |= {f"PACELINE_{name.upper()}": str(value) for name, value in settings.items()}
    with serving([sys.executable, "-m", "paceline.serve.agent"], folder, environment) as served:
        pod = AgentPod(served, document)
        try:
            eventually(lambda: served.ended() or served.management("/livez") == 200, "the agent lives")
            assert not served.ended(), served.stderr
            yield pod
        finally:
            for worker in pod.workers:
                worker.kill()
                worker.wait()
