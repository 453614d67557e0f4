"""A pod of ours whose tuning document the benchmark writes, in the operator's place."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.servers import Cores, Server, ours


@dataclass
class Tuned:
    """One pod with the file that it follows."""

    server: Server
    folder: Path
    _generation: int = 0

    def write(self, values: Mapping[str, Any]) -> None:
        """The next generation."""
        self._generation += 1
        document = {
            "schema": "paceline.dev/tuning/v1",
            "generation": self._generation,
            "policy": "bench/api",
            "values": dict(values),
        }
        fresh = self.folder / ".tuning.json"
        fresh.write_text(json.dumps(document))
        os.replace(fresh, self.folder / "tuning.json")


@contextmanager
def tuned(target: str, environment: Mapping[str, str], workers: int, cores: Cores, *options: str) -> Iterator[Tuned]:
    """`paceline serve` with this many workers, these options and no document yet."""
    with tempfile.TemporaryDirectory(prefix="paceline-bench-") as name:
        folder = Path(name)
        (folder / "run").mkdir()
        settings = {
            "PACELINE_RUN_DIR": str(folder / "run"),
            "PACELINE_TUNING_FILE": str(folder / "tuning.json"),
            "PACELINE_WORKERS": str(workers),
        }
        with ours(target, {**environment, **settings}, *options).started(cores) as server:
            yield Tuned(server, folder)
