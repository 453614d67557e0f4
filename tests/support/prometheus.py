"""Debian's Prometheus as a process on loopback, its data in a folder, asked by its HTTP API."""

import json
import os
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from jaeger import wait_for
from serving import free_ports


@dataclass(frozen=True)
class Prometheus:
    """Where it is asked."""

    url: str

    def query(self, expression: str) -> Sequence[Mapping[str, Any]]:
        """The series that an expression gives now."""
        found = self._get("/api/v1/query", query=expression)
        assert found["data"]["resultType"] == "vector", expression
        return list(found["data"]["result"])

    def targets(self) -> Mapping[str, str]:
        """Health of what is scraped, `up` or why not, by job."""
        active = self._get("/api/v1/targets")["data"]["activeTargets"]
        return {each["labels"]["job"]: each["lastError"] or each["health"] for each in active}

    def _get(self, path: str, **query: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(query)}", timeout=5) as response:
            return json.loads(response.read())


@contextmanager
def prometheus(folder: Path, addresses: Mapping[str, str]) -> Iterator[Prometheus]:
    """Scrapes each address, by the name of its job, once a second. Skips where there is no such program: PROMETHEUS
    names it, else PATH."""
    program = os.environ.get("PROMETHEUS") or shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus: no program `prometheus` on PATH, nor in PROMETHEUS")
    (port,) = free_ports(1)
    jobs = [{"job_name": name, "static_configs": [{"targets": [each]}]} for name, each in addresses.items()]
    config = folder / "prometheus.yaml"
    config.write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
    options = (
        f"--config.file={config}",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([program, *options], stdout=log, stderr=log)
    try:
        wait_for(process, f"http://127.0.0.1:{port}/-/ready", folder / "prometheus.log")
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()
