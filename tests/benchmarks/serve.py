"""What each layer of Paceline costs a request, against plain gunicorn with uvicorn-worker.

The same application, one worker, one core for the server and another for the load. All variants run at the same time
and are measured in turns, forwards and backwards, so that whatever else the machine does hits all of them alike. Ratios
are taken within a pair, then their median.
"""

import sys
from collections.abc import Iterable, Iterator
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
WARM_SECONDS: Final = 0.5
SECONDS: Final = 2.0
CALM: Final = 0.1


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
    BARE,
    Layer("+ request statistics", measured=True),
    Layer("+ tracing at 5 %", goal=0.95, measured=True, traced=True),
    Layer("paceline serve, no collector", serve=True),
    Layer("default stack", goal=0.90, serve=True, traced=True),
)
APPLICATIONS: Final = {"fastapi": "bench_fastapi", "raw": "bench_raw"}


@dataclass(frozen=True)
class Sample:
    """One measurement; `foreign` is the share of the serving core that others used meanwhile."""

    per_second: float
    cpu_microseconds: float
    foreign: float


def run(pairs: int) -> Iterator[Row]:
    """Rows for each application and layer: requests per second, CPU microseconds per request."""
    cores = Cores.of_this_machine()
    with sink() as endpoint:
        for name, module in APPLICATIONS.items():
            yield from _rows(name, _measure(name, module, endpoint, cores, pairs))


def _measure(name: str, module: str, endpoint: str, cores: Cores, pairs: int) -> dict[Layer, list[Sample]]:
    samples: dict[Layer, list[Sample]] = {layer: [] for layer in LAYERS}
    with ExitStack() as stack:
        servers = {layer: stack.enter_context(_start(layer, module, endpoint, cores)) for layer in LAYERS}
        for pair in range(pairs):
            print(f"{name}: pair {pair + 1} of {pairs}", file=sys.stderr)
            for layer in LAYERS if pair % 2 == 0 else reversed(LAYERS):
                samples[layer].append(_sample(servers[layer], cores))
    foreign = median(sample.foreign for each in samples.values() for sample in each)
    if foreign > CALM:
        print(
            f"{name}: others used {foreign:.0%} of the serving core: measure again on a calm machine", file=sys.stderr
        )
    return samples


def _start(layer: Layer, module: str, endpoint: str, cores: Cores) -> AbstractContextManager[Server]:
    port = free_port()
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint} if layer.traced else {}
    if layer.serve:
        command = paceline(f"{module}:app", port, free_port())
    else:
        command = gunicorn("bench_layers:app" if layer.measured else f"{module}:app", port)
        environment["BENCH_TARGET"] = module
    return running(command, port, environment, cores)


def _sample(server: Server, cores: Cores) -> Sample:
    saturate(server.port, connections=CONNECTIONS, seconds=WARM_SECONDS)
    used, busy = server.cpu_seconds(), cores.busy_seconds()
    answers, seconds = saturate(server.port, connections=CONNECTIONS, seconds=SECONDS)
    used, busy = server.cpu_seconds() - used, cores.busy_seconds() - busy
    return Sample(answers / seconds, used / answers * 1e6, max(0.0, busy - used) / seconds)


def _rows(application: str, samples: dict[Layer, list[Sample]]) -> Iterable[Row]:
    bare = samples[BARE]
    for layer in LAYERS[1:]:
        pairs = list(zip(samples[layer], bare, strict=True))
        metric = f"{application}, {layer.name}"
        yield Row(
            bench="serve",
            peer=PEER,
            metric=f"{metric}: requests/s",
            ours=median(ours.per_second for ours, _ in pairs),
            theirs=median(theirs.per_second for _, theirs in pairs),
            ratio=median(ours.per_second / theirs.per_second for ours, theirs in pairs),
            goal=layer.goal,
        )
        yield Row(
            bench="serve",
            peer=PEER,
            metric=f"{metric}: CPU µs/request",
            ours=median(ours.cpu_microseconds for ours, _ in pairs),
            theirs=median(theirs.cpu_microseconds for _, theirs in pairs),
            ratio=median(theirs.cpu_microseconds / ours.cpu_microseconds for ours, theirs in pairs),
            goal=layer.goal,
        )
