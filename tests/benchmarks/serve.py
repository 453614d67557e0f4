"""What each layer of Paceline costs a request, against plain gunicorn with uvicorn-worker.

The same application, one worker, one core for the server and another for the load. Each layer is measured right beside
the bare server.
"""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.effort import Effort
from tests.benchmarks.pairs import Match, Pair, throughput_rows, warn_unless_calm
from tests.benchmarks.row import Row
from tests.benchmarks.servers import HERE, Checkout, Cores, Server, free_port, gunicorn, paceline, running
from tests.benchmarks.sink import sink

PEER: Final = "gunicorn + uvicorn-worker"


@dataclass(frozen=True)
class Layer:
    """One variant of what is in front of the application."""

    name: str
    goal: float | None = None
    serve: bool = False
    measured: bool = False
    traced: bool = False
    switched_on: tuple[str, ...] = ()
    """Settings of layers that are off unless asked for."""


BARE: Final = Layer("bare")
LAYERS: Final = (
    Layer("+ request statistics, trusted proxies", measured=True),
    Layer("+ tracing at 5 %", goal=0.95, measured=True, traced=True),
    Layer("statistics, + process time", measured=True, switched_on=("PACELINE_PROCESS_TIME",)),
    Layer("statistics, + request id", measured=True, switched_on=("PACELINE_REQUEST_ID",)),
    Layer("statistics, + security headers", measured=True, switched_on=("PACELINE_SECURITY_HEADERS",)),
    Layer("paceline serve, no collector", serve=True),
    Layer("default stack", goal=0.90, serve=True, traced=True),
)
APPLICATIONS: Final = {"fastapi": "bench_fastapi", "raw": "bench_raw"}
WITH_GOALS: Final = "fastapi"
"""A bare ASGI function that does nothing shows the layers under a magnifying glass; nobody serves one."""


def run(effort: Effort, cores: Cores) -> Iterator[Row]:
    """Rows for each application and layer: requests per second, CPU microseconds per request."""
    with sink() as endpoint:
        for name, module in APPLICATIONS.items():
            for layer, measured in _measure(name, module, endpoint, cores, effort).items():
                goal = layer.goal if name == WITH_GOALS else None
                yield from throughput_rows("serve", PEER, f"{name}, {layer.name}", measured, goal)


def _measure(name: str, module: str, endpoint: str, cores: Cores, effort: Effort) -> dict[Layer, list[Pair]]:
    measured: dict[Layer, list[Pair]] = {layer: [] for layer in LAYERS}
    with ExitStack() as stack:
        bare = stack.enter_context(start(BARE, module, endpoint, cores))
        servers = {layer: stack.enter_context(start(layer, module, endpoint, cores)) for layer in LAYERS}
        for number in range(effort.pairs):
            print(f"{name}: pair {number + 1} of {effort.pairs}", file=sys.stderr)
            for layer in LAYERS:
                match = Match(servers[layer], bare, cores)
                measured[layer].append(match.pair(effort.seconds, ours_first=number % 2 == 0))
    warn_unless_calm(name, [pair for each in measured.values() for pair in each])
    return measured


def start(
    layer: Layer, module: str, endpoint: str, cores: Cores, checkout: Checkout = HERE
) -> AbstractContextManager[Server]:
    """One variant of an application, served by a checkout; `endpoint` is where its spans go."""
    port = free_port()
    environment = dict.fromkeys(layer.switched_on, "on")
    if layer.traced:
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
    if layer.serve:
        command = paceline(f"{module}:app", port, free_port(), python=checkout.python)
    else:
        target = "bench_layers:app" if layer.measured else f"{module}:app"
        command = gunicorn(target, port, python=checkout.python)
        environment["BENCH_TARGET"] = module
    return running(command, port, environment, cores, folder=checkout.applications)
