"""Peers whose packages Paceline does not need: where they are looked for, and what to do when they are not there.

`pip install '.[bench]'` into any virtual environment, and BENCH_PYTHON names its interpreter; without that, the one
that runs the benchmarks is asked. A row whose peer is missing is left out, and stderr says so.
"""

import os
import subprocess
import sys
from collections.abc import Iterable
from typing import Final

from tests.benchmarks.closed_loop import LoadError, Request
from tests.benchmarks.pairs import CONNECTIONS, sample
from tests.benchmarks.servers import Cores, Stack, gunicorn

PYTHON: Final = os.environ.get("BENCH_PYTHON", sys.executable)
_PROBE_SECONDS: Final = 2.0


def present(what: str, *modules: str) -> bool:
    """Whether these can be imported by the peers' interpreter; where not, says which benchmark that leaves out."""
    probe = subprocess.run([PYTHON, "-c", f"import {', '.join(modules)}"], capture_output=True, text=True, check=False)
    if probe.returncode == 0:
        return True
    reason = probe.stderr.strip().rpartition("\n")[2]
    advice = "pip install '.[bench]', or BENCH_PYTHON=an interpreter that has it"
    print(f"left out: {what}: {reason} ({advice})", file=sys.stderr)
    return False


def peer(name: str, target: str, environment: dict[str, str] | None = None) -> Stack:
    """An ASGI peer under gunicorn and uvicorn-worker as they come."""
    return Stack(name, lambda port: gunicorn(target, port, python=PYTHON), environment or {})


def flask(target: str, environment: dict[str, str], *, workers: int, threads: int = 1) -> Stack:
    """A WSGI peer: sync workers, or threaded ones where there is more than one thread."""
    kind = "sync" if threads == 1 else "gthread"
    options = ["-w", str(workers), *(["--threads", str(threads)] if threads > 1 else [])]
    name = f"Flask, gunicorn -k {kind} {' '.join(options)}"
    return Stack(name, lambda port: gunicorn(target, port, *options, worker=kind, python=PYTHON), environment)


def fastest(stacks: Iterable[Stack], cores: Cores, request: Request, connections: int = CONNECTIONS) -> Stack:
    """The one with the most requests a second, each measured twice: the peer at its best."""
    rates = {stack: _rate(stack, cores, request, connections) for stack in stacks}
    for stack, rate in rates.items():
        print(f"{stack.name}, {connections} clients: {rate:.0f} requests/s", file=sys.stderr)
    return max(rates, key=lambda stack: rates[stack])


def _rate(stack: Stack, cores: Cores, request: Request, connections: int) -> float:
    """0 where it answers nothing under this load, which some do."""
    try:
        with stack.started(cores) as server:
            return max(sample(server, cores, _PROBE_SECONDS, request, connections).per_second for _ in range(2))
    except LoadError:
        return 0.0
