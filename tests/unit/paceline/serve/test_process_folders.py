"""What each process of a pod loads: an agent that drags in a driver costs memory in every pod."""

import json
import subprocess
import sys
from typing import Any

import pytest

MOST_AGENT_MODULES = 450
FOREIGN = ("opentelemetry", "gunicorn", "asyncpg", "sqlalchemy", "redis", "pymongo", "httpx", "aiohttp", "fastapi")
OURS = ("paceline.resources", "paceline.middleware", "paceline.tune", "paceline.serve.worker", "paceline.serve.arbiter")

LOOK = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({"modules": sorted(sys.modules), "kilobytes": int(status["VmRSS"].split()[0])}))
"""


def loaded(module: str) -> Any:
    command = [sys.executable, "-P", "-c", LOOK, module]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


@pytest.mark.parametrize("process", ["agent", "supervisor"])
def test_the_resident_processes_load_no_driver_no_exporter_and_no_application(
    process: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = loaded(f"paceline.serve.{process}.{process}")
    modules = found["modules"]
    with capsys.disabled():
        sys.stdout.write(f"\n{process}: {len(modules)} modules, {found['kilobytes'] / 1024:.0f} MiB\n")
    assert not [each for each in modules if each.startswith(OURS) or each.partition(".")[0] in FOREIGN]
    assert len(modules) <= MOST_AGENT_MODULES
