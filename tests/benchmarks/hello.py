"""`json`: one small JSON answer, Paceline's stack against those that one would build from the usual guides."""

from collections.abc import Iterator

from tests.benchmarks import peers
from tests.benchmarks.closed_loop import FRONT_PAGE
from tests.benchmarks.effort import Effort
from tests.benchmarks.pairs import Match, throughput_rows
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores, Stack, ours, stock
from tests.benchmarks.sink import sink

BENCH = "json"


def run(effort: Effort, cores: Cores) -> Iterator[Row]:
    """Three peers, each beside ours with the same functions and the same sampling."""
    with sink() as endpoint:
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        layered = ours("bench_pure:app", traced)
        yield from _against(stock("FastAPI, two @app.middleware", "bench_guide:app"), layered, 2.0, effort, cores)
        yield from _contrib(traced, effort, cores)
        if peers.present("Flask", "flask"):
            workers = [peers.flask("bench_flask:app", {}, workers=count) for count in (1, 2, 4)]
            best = peers.fastest(workers, cores, FRONT_PAGE)
            yield from _against(best, ours("bench_fastapi:app", traced), 3.0, effort, cores)
            yield from _against(best, ours("bench_fastapi:app", {}), None, effort, cores, "hello, we without tracing")


def _contrib(traced: dict[str, str], effort: Effort, cores: Cores) -> Iterator[Row]:
    """As it comes, and without the spans of single ASGI messages, which is the cheapest that it can be."""
    name = "FastAPI, OpenTelemetry contrib at 5 %"
    if peers.present(name, "opentelemetry.instrumentation.fastapi"):
        mine = ours("bench_fastapi:app", traced)
        yield from _against(peers.peer(name, "bench_contrib:app", traced), mine, 2.2, effort, cores)
        trimmed = {**traced, "CONTRIB_EXCLUDE": "receive,send"}
        theirs = peers.peer(f"{name}, no message spans", "bench_contrib:app", trimmed)
        yield from _against(theirs, mine, None, effort, cores)


def _against(
    theirs: Stack, mine: Stack, goal: float | None, effort: Effort, cores: Cores, metric: str = "hello"
) -> Iterator[Row]:
    with mine.started(cores) as left, theirs.started(cores) as right:
        pairs = Match(left, right, cores).pairs(f"{BENCH} against {theirs.name}", effort)
    yield from throughput_rows(BENCH, theirs.name, metric, pairs, goal)
