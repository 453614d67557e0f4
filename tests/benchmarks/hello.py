"""`json`: one small JSON answer, Paceline's stack against those that one would build from the usual guides."""

from collections.abc import Iterator

from tests.benchmarks import peers
from tests.benchmarks.closed_loop import FRONT_PAGE
from tests.benchmarks.duel import Duel
from tests.benchmarks.effort import Effort
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores, ours, stock
from tests.benchmarks.sink import sink

BENCH = "json"


def run(effort: Effort, cores: Cores) -> Iterator[Row]:
    """Each peer beside ours with the same functions and the same sampling."""
    with sink() as endpoint:
        for duel in _duels({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, cores):
            yield from duel.rows(effort, cores)


def _duels(traced: dict[str, str], cores: Cores) -> Iterator[Duel]:
    guide = stock("FastAPI, two @app.middleware", "bench_guide:app")
    yield Duel(BENCH, "hello, request id, process time", ours("bench_pure:app", traced), guide, goal=2.0)
    mine = ours("bench_fastapi:app", traced)
    name = "FastAPI, OpenTelemetry contrib at 5 %"
    if peers.present(name, "opentelemetry.instrumentation.fastapi"):
        yield Duel(BENCH, "hello", mine, peers.peer(name, "bench_contrib:app", traced), goal=2.2)
        trimmed = {**traced, "CONTRIB_EXCLUDE": "receive,send"}
        yield Duel(BENCH, "hello", mine, peers.peer(f"{name}, no message spans", "bench_contrib:app", trimmed))
    if peers.present("Flask", "flask"):
        flasks = [peers.flask("bench_flask:app", {}, workers=count) for count in (1, 2, 4)]
        best = peers.fastest(flasks, cores, FRONT_PAGE)
        yield Duel(BENCH, "hello", mine, best, goal=3.0)
        yield Duel(BENCH, "hello, we without tracing", ours("bench_fastapi:app", {}), best)
