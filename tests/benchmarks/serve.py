"""What each layer of Paceline costs a request, against plain gunicorn with uvicorn-worker.

The same application, one worker, one core for the server and another for the load. Each layer
is measured right beside the bare server, in alternating order, so that whatever else the machine does hits both alike;
a pair that others disturbed is measured again. Ratios are taken within a pair, then their median.
"""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Final

from tests.benchmarks.closed_loop import saturate
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores, Server, free_port, gunicorn, paceline, running
from tests.benchmarks.sink import sink

PEER: Final = "gunicorn + uvicorn-worker"
CONNECTIONS: Final = 32
WARM_SECONDS: Final = 0.2
SECONDS: Final = 1.5
CALM: Final = 0.1
TRIES: Final = 3


@dataclass(frozen=True)
class Layer:
    """One variant: what is added to the ones above it."""

    name: str
    goal: float | None = None
    serve: bool = False
    measured: bool = False
    traced: bool = False


BARE: Final = Layer("bare")
LAYERS: Final = (
    Layer("+ request statistics", measured=True),
    Layer("+ tracing at 5 %", goal=0.95, measured=True, traced=True),
    Layer("paceline serve, no collector", serve=True),
    Layer("default stack", goal=0.90, serve=True, traced=True),
)
APPLICATIONS: Final = {"fastapi": "bench_fastapi", "raw": "bench_raw"}
WITH_GOALS: Final = "fastapi"
"""A bare ASGI function that does nothing shows the layers under a magnifying glass; nobody serves one."""


@dataclass(frozen=True)
class Sample:
    """One measurement; `foreign` is the share of the serving core that others used meanwhile."""

    per_second: float
    cpu_microseconds: float
    foreign: float


@dataclass(frozen=True)
class Pair:
    """A layer and the bare server, measured one right after the other."""

    ours: Sample
    theirs: Sample

    @property
    def foreign(self) -> float:
        return max(self.ours.foreign, self.theirs.foreign)


def run(pairs: int) -> Iterator[Row]:
    """Rows for each application and layer: requests per second, CPU microseconds per request."""
    cores = Cores.of_this_machine()
    with sink() as endpoint:
        for name, module in APPLICATIONS.items():
            for layer, measured in _measure(name, module, endpoint, cores, pairs).items():
                yield from _rows(name, layer, measured)


def _measure(name: str, module: str, endpoint: str, cores: Cores, pairs: int) -> dict[Layer, list[Pair]]:
    measured: dict[Layer, list[Pair]] = {layer: [] for layer in LAYERS}
    with ExitStack() as stack:
        bare = stack.enter_context(_start(BARE, module, endpoint, cores))
        servers = {layer: stack.enter_context(_start(layer, module, endpoint, cores)) for layer in LAYERS}
        for number in range(pairs):
            print(f"{name}: pair {number + 1} of {pairs}", file=sys.stderr)
            for layer in LAYERS:
                measured[layer].append(_pair(servers[layer], bare, cores, ours_first=number % 2 == 0))
    foreign = median(pair.foreign for each in measured.values() for pair in each)
    if foreign > CALM:
        print(
            f"{name}: others used {foreign:.0%} of the serving core: measure again on a calm machine", file=sys.stderr
        )
    return measured


def _start(layer: Layer, module: str, endpoint: str, cores: Cores) -> AbstractContextManager[Server]:
    port = free_port()
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint} if layer.traced else {}
    if layer.serve:
        command = paceline(f"{module}:app", port, free_port())
    else:
        command = gunicorn("bench_layers:app" if layer.measured else f"{module}:app", port)
        environment["BENCH_TARGET"] = module
    return running(command, port, environment, cores)


def _pair(ours: Server, theirs: Server, cores: Cores, *, ours_first: bool) -> Pair:
    """The calmest of a few tries, or the first calm one."""
    tries: list[Pair] = []
    while len(tries) < TRIES and not (tries and tries[-1].foreign <= CALM):
        order = (ours, theirs) if ours_first else (theirs, ours)
        samples = {server.port: _sample(server, cores) for server in order}
        tries.append(Pair(samples[ours.port], samples[theirs.port]))
    return min(tries, key=lambda pair: pair.foreign)


def _sample(server: Server, cores: Cores) -> Sample:
    saturate(server.port, connections=CONNECTIONS, seconds=WARM_SECONDS)
    used, busy = server.cpu_seconds(), cores.busy_seconds()
    answers, seconds = saturate(server.port, connections=CONNECTIONS, seconds=SECONDS)
    used, busy = server.cpu_seconds() - used, cores.busy_seconds() - busy
    return Sample(answers / seconds, used / answers * 1e6, max(0.0, busy - used) / seconds)


def _rows(application: str, layer: Layer, pairs: list[Pair]) -> Iterator[Row]:
    metric = f"{application}, {layer.name}"
    yield Row(
        bench="serve",
        peer=PEER,
        metric=f"{metric}: requests/s",
        ours=median(pair.ours.per_second for pair in pairs),
        theirs=median(pair.theirs.per_second for pair in pairs),
        ratio=median(pair.ours.per_second / pair.theirs.per_second for pair in pairs),
        goal=layer.goal if application == WITH_GOALS else None,
    )
    yield Row(
        bench="serve",
        peer=PEER,
        metric=f"{metric}: CPU µs/request",
        ours=median(pair.ours.cpu_microseconds for pair in pairs),
        theirs=median(pair.theirs.cpu_microseconds for pair in pairs),
        ratio=median(pair.theirs.cpu_microseconds / pair.ours.cpu_microseconds for pair in pairs),
    )
