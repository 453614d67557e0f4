"""A server that speaks MongoDB's protocol: SecantusDB, in memory, on a loopback port."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from paceline.local.server_process import free_port, running

MISSING = "mongo: no program `secantusd-py` on PATH, nor in MONGO_SERVER, and no tools in PACELINE_TOOLS"


@contextmanager
def mongo(folder: Path, port: int | None = None) -> Iterator[str]:
    """Its URL, until the block ends. Skips the test where there is no such server."""
    program = mongo_program()
    if program is None:
        pytest.skip(MISSING)
    port = free_port() if port is None else port
    folder.mkdir(exist_ok=True)
    command = [program, "--host", "127.0.0.1", "--port", str(port), "--storage-path", ":memory:"]
    log = folder / "mongo.log"
    with running(command, program="SecantusDB", log=log, is_ready=lambda _: listens(port), stop=signal.SIGTERM):
        yield f"mongodb://127.0.0.1:{port}/"


@cache
def mongo_program() -> str | None:
    """MONGO_SERVER, else what PACELINE_TOOLS has, which takes a minute the first time, else what is on PATH."""
    return os.environ.get("MONGO_SERVER") or _tool() or shutil.which("secantusd-py")


def _tool() -> str | None:
    script = Path(os.environ.get("PACELINE_TOOLS", "/nowhere")) / "mongo"
    if not script.exists():
        return None
    return subprocess.run([script], check=True, capture_output=True, text=True, timeout=110).stdout.strip()


def listens(port: int) -> bool:
    """Whether somebody takes connections on this loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
