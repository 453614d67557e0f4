"""`paceline-operator local` as a process over a folder."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from http_pod import HttpPod
from serving import eventually

TARGET = {"kind": "Process", "name": "api"}


@dataclass
class LocalOperator:
    """The running operator, its folder, and what it wrote."""

    process: subprocess.Popen[bytes]
    folder: Path

    def apply(self, name: str = "api", **spec: Any) -> None:
        """As a person who saves NAME.yaml."""
        manifest = {
            "apiVersion": "paceline.dev/v1alpha1",
            "kind": "TuningPolicy",
            "metadata": {"name": name},
            "spec": {"targetRef": TARGET, **spec},
        }
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(manifest))

    @property
    def document(self) -> dict[str, Any] | None:
        try:
            return dict(json.loads((self.folder / "tuning.json").read_bytes()))
        except FileNotFoundError:
            return None

    def status(self, name: str = "api") -> dict[str, Any]:
        with suppress(FileNotFoundError):
            return dict(yaml.safe_load((self.folder / f"{name}.status.yaml").read_text()))
        return {}

    def condition(self, kind: str, name: str = "api") -> tuple[str, str]:
        for condition in self.status(name).get("conditions", ()):
            if condition["type"] == kind:
                return condition["status"], condition["reason"]
        return "", ""

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "stdout").read_text().splitlines()]

    @property
    def log(self) -> str:
        return (self.folder / "stderr").read_text()


StartOperator = Callable[[Path, list[str]], LocalOperator]


@pytest.fixture
def start_operator() -> Iterator[StartOperator]:
    processes: list[subprocess.Popen[bytes]] = []

    def start(folder: Path, state_urls: list[str]) -> LocalOperator:
        target = {**TARGET, "documentFile": "tuning.json", "stateUrls": state_urls}
        (folder / "targets.yaml").write_text(yaml.safe_dump([target]))
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            command = [sys.executable, "-c", "from paceline_operator.cli import main; main()", "local", str(folder)]
            process = subprocess.Popen(command, stdout=out, stderr=err)
        processes.append(process)
        operator = LocalOperator(process, folder)
        # It looks at its folder from the start; a test may apply before that or after.
        eventually(lambda: process.poll() is None or operator.log, "the operator runs")
        return operator

    yield start
    for process in processes:
        process.terminate()
        assert process.wait(30) == 0


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[HttpPod]:
    pod = HttpPod(tmp_path / "tuning.json")
    yield pod
    pod.close()
