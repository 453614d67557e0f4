"""A Tilt on a copy of this tree: `tilt ci`, `tilt up` with its buttons pressed, `tilt down`."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from release import ROOT
from serving import free_ports
from testcluster import CommandFailed, run, until

PORTS = ("api", "state", "operator", "jaeger")
IMAGES = {
    "postgresql_image": "PACELINE_TEST_POSTGRES_IMAGE",
    "valkey_image": "PACELINE_TEST_VALKEY_IMAGE",
    "jaeger_image": "PACELINE_TEST_JAEGER_IMAGE",
}


def program() -> str:
    """The Tilt to run: TILT, else what is on PATH; without one the test is skipped."""
    found = os.environ.get("TILT") or shutil.which("tilt")
    if found is None:
        pytest.skip("tilt: no program `tilt` on PATH, nor in TILT")
    return found


def copy_of_the_tree(folder: Path) -> Path:
    """What git would have, changes that are not committed included: a test may edit it."""
    names = run("git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@dataclass
class Tilt:
    """Commands of Tilt's on one tree and one namespace."""

    tree: Path
    namespace: str
    ports: dict[str, int] = field(default_factory=lambda: dict(zip(PORTS, free_ports(len(PORTS)), strict=True)))
    port: int = field(default_factory=lambda: free_ports(1)[0])

    def __post_init__(self) -> None:
        self._program = program()
        self._environment = {
            **os.environ,
            "DO_NOT_TRACK": "1",
            "TILT_DISABLE_ANALYTICS": "1",
            "PACELINE_DEV_LOAD_FOR": "5s",
        }
        images = {name: os.environ[variable] for name, variable in IMAGES.items() if variable in os.environ}
        context = run("kubectl", "config", "current-context").strip()
        settings = {
            "allowed_contexts": [context],
            "ports": self.ports,
            "bin": str(Path(sys.executable).parent),
            **images,
        }
        (self.tree / "tilt-settings.yaml").write_text(yaml.safe_dump(settings))

    def run(self, *arguments: str, timeout: float = 60) -> str:
        """What a command says. Raises CommandFailed."""
        done = subprocess.run(
            [self._program, *arguments],
            cwd=self.tree,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise CommandFailed(f"tilt {' '.join(arguments)}: {done.stdout[-6000:]}{done.stderr[-2000:]}")
        return done.stdout

    def ci(self) -> str:
        return self.run("ci", "--namespace", self.namespace, "--port", "0", timeout=500)

    def down(self) -> None:
        self.run("down", "--namespace", self.namespace, timeout=180)

    @contextmanager
    def up(self) -> Iterator[None]:
        """Runs until the block ends; what it has deployed stays."""
        command = [self._program, "up", "--stream", "--namespace", self.namespace, "--port", str(self.port)]
        with (self.tree / "tilt.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=self.tree, env=self._environment, stdout=log, stderr=log)
        try:
            until(lambda: self.healthy("operator") and self.healthy("api"), 240, "operator and api are up")
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)

    def resources(self) -> dict[str, dict[str, Any]]:
        """The status of every resource by name; empty while nobody answers."""
        try:
            items = json.loads(self.run("get", "uiresources", "--port", str(self.port), "--output", "json"))["items"]
        except CommandFailed:
            return {}
        return {item["metadata"]["name"]: item["status"] for item in items}

    def healthy(self, name: str) -> bool:
        status = self.resources().get(name, {})
        return status.get("updateStatus") == "ok" and status.get("runtimeStatus") in ("ok", "not_applicable")

    def _resource(self, name: str) -> dict[str, Any]:
        return until(lambda: self.resources().get(name, {}), 30, f"Tilt tells of {name}")

    def press(self, button: str, *, forgiven: str | None = None) -> str:
        """What the button's command said; fails the test if it failed, unless it said what is forgiven."""
        before = _runs(self._resource(button))
        self.run("trigger", button, "--port", str(self.port))
        until(lambda: _runs(self._resource(button)) > before, 120, f"{button} has run")
        said = self.run("logs", button, "--port", str(self.port))
        last = self._resource(button)["buildHistory"][0]
        assert not last.get("error") or (forgiven and forgiven in said), f"{last['error']}\n{said}"
        return said


def _runs(status: dict[str, Any]) -> int:
    """How often a resource has been updated; Tilt keeps the last few, the newest first."""
    history = status.get("buildHistory") or [{}]
    return 0 if "finishTime" not in history[0] else int(history[0]["finishTime"].translate(_DIGITS)[:17])


_DIGITS = str.maketrans("", "", "-:TZ.")
