"""Jaeger 2 as a process on loopback, spans in memory, with the pipeline that k8s/dev/jaeger.yaml has in a cluster."""

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from serving import free_ports

MANIFEST = Path(__file__).parents[2] / "k8s" / "dev" / "jaeger.yaml"


@dataclass(frozen=True)
class Jaeger:
    """Where it takes spans and where it answers."""

    otlp: str
    query: str


@contextmanager
def jaeger(folder: Path) -> Iterator[Jaeger]:
    """Runs until the block ends. Skips the test where there is no Jaeger: JAEGER names the program, else PATH."""
    program = os.environ.get("JAEGER") or shutil.which("jaeger")
    if program is None:
        pytest.skip("jaeger: no program `jaeger` on PATH, nor in JAEGER")
    ports = free_ports(4)
    config = folder / "jaeger.yaml"
    config.write_text(_on_loopback(*ports))
    with (folder / "jaeger.log").open("wb") as log:
        process = subprocess.Popen([program, "--config", f"file:{config}"], stdout=log, stderr=log)
    try:
        found = Jaeger(f"http://127.0.0.1:{ports[1]}", f"http://127.0.0.1:{ports[2]}")
        wait_for(process, f"{found.query}/api/services", folder / "jaeger.log")
        yield found
    finally:
        process.kill()  # asked kindly, it waits ten seconds for its clients
        process.wait()


def _on_loopback(grpc: int, http: int, query: int, health: int) -> str:
    """The configuration of the manifest with addresses of this machine's."""
    objects = list(yaml.safe_load_all(MANIFEST.read_text()))
    text: str = next(each for each in objects if each["kind"] == "ConfigMap")["data"]["config.yaml"]
    for official, port in {4317: grpc, 4318: http, 16686: query, 13133: health}.items():
        assert f"0.0.0.0:{official}" in text, "the manifest and this test have drifted apart"
        text = text.replace(f"0.0.0.0:{official}", f"127.0.0.1:{port}")
    return text


def wait_for(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Until the page is there; fails the test with the end of the log where the process ends first."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.1)
