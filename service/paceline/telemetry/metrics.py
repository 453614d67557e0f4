"""The pod's metrics: one table, read from `/state`, so that both endpoints always agree.

Names follow OpenTelemetry's semantic conventions in Prometheus form; what they do not name is `paceline_*`. Labels are
bounded: routes of the application, pools, caches and reasons, never a pid or a path.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from paceline.telemetry.histogram import BOUNDARIES

State = Mapping[str, Any]
Sample = tuple[tuple[str, ...], Any]
"""Label values, and a number or a wire histogram."""
Exemplars = Mapping[str, Iterable[Mapping[str, Any]]]
"""By request group, the oldest first: `{"traceId", "seconds", "time"}`."""

_POOL: Final = ("db_client_connection_pool_name",)
_PROCESSES: Final = "processes"
"""`kind` of the pools whose size is per pod: what is true of connections is not true of them."""
_ROUTE: Final = ("http_request_method", "http_route")


@dataclass(frozen=True, slots=True)
class Row:
    """One metric. `name` is without Prometheus's `_total`, which counters get when written."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[State], Iterable[Sample]]


def _one(read: Callable[[State], Any]) -> Callable[[State], list[Sample]]:
    return lambda state: [((), read(state))]


def _each(section: str, key: str) -> Callable[[State], list[Sample]]:
    return lambda state: [((name,), entry[key]) for name, entry in state[section].items()]


def _pools(key: str) -> Callable[[State], list[Sample]]:
    return lambda state: [((name,), pool[key]) for name, pool in state["pools"].items() if pool["kind"] != _PROCESSES]


def _processes(key: str) -> Callable[[State], list[Sample]]:
    return lambda state: [((name,), pool[key]) for name, pool in state["pools"].items() if pool["kind"] == _PROCESSES]


def _calls(state: State) -> list[Sample]:
    running, waiting = _processes("inUse")(state), _processes("waiting")(state)
    return [
        *(((*labels, "running"), number) for labels, number in running),
        *(((*labels, "waiting"), number) for labels, number in waiting),
    ]


def _routes(key: str) -> Callable[[State], list[Sample]]:
    return lambda state: [(_split(entry["group"]), entry[key]) for entry in state["requests"]]


def _durations(state: State) -> list[Sample]:
    """With the traces to look at, where the agent tells any."""
    exemplars = state.get("exemplars", {})
    return [
        (_split(entry["group"]), {**entry["duration"], "exemplars": exemplars.get(entry["group"], ())})
        for entry in state["requests"]
    ]


def _outcome(key: str) -> Callable[[State], list[Sample]]:
    return lambda state: [((), state["outcomes"][key])] if "outcomes" in state else []


def _split(group: str) -> tuple[str, str]:
    """`GET /products` → its two labels; `other` as OpenTelemetry names an unknown method."""
    method, separator, route = group.partition(" ")
    return (method, route) if separator else ("_OTHER", group)


def _workers(state: State) -> list[Sample]:
    def phase(worker: State) -> str:
        return "draining" if worker["draining"] else "ready" if worker["ready"] else "starting"

    phases = [phase(worker) for worker in state["workers"]]
    return [((name,), phases.count(name)) for name in ("ready", "starting", "draining")]


def _connections(state: State) -> list[Sample]:
    pools = [(name, pool) for name, pool in state["pools"].items() if pool["kind"] != _PROCESSES]
    used: list[Sample] = [((name, "used"), pool["inUse"]) for name, pool in pools]
    idle: list[Sample] = [((name, "idle"), max(0, pool["open"] - pool["inUse"])) for name, pool in pools]
    return [*used, *idle]


def _lookups(state: State) -> list[Sample]:
    results = (("hit", "hits"), ("miss", "misses"), ("stale", "staleHits"))
    return [((name, result), cache[key]) for name, cache in state["caches"].items() for result, key in results]


def _admission(key: str) -> Callable[[State], list[Sample]]:
    def read(state: State) -> list[Sample]:
        entry = state["admission"] or {}
        return [] if entry.get(key) is None else [((), entry[key])]

    return read


def _refused(state: State) -> list[Sample]:
    refused = state["tuning"]["refused"]
    return [((refused["reason"],), 1)] if refused else []


METRICS: Final = (
    Row("histogram", "http_server_request_duration_seconds", "Duration of requests.", _ROUTE, _durations),
    Row(
        "counter",
        "paceline_request_errors",
        "Requests that ended in 5xx or without a response.",
        _ROUTE,
        _routes("errors"),
    ),
    Row("counter", "paceline_client_disconnects", "Requests whose client hung up.", (), _outcome("clientDisconnects")),
    Row(
        "counter",
        "paceline_background_failures",
        "Exceptions after the response was complete, such as a background task's.",
        (),
        _outcome("backgroundFailures"),
    ),
    Row(
        "histogram",
        "paceline_event_loop_lag_seconds",
        "Lateness of timers in workers.",
        (),
        _one(lambda s: s["loopLag"]),
    ),
    Row("gauge", "paceline_workers", "Worker processes.", ("state",), _workers),
    Row("gauge", "paceline_workers_wanted", "Workers in force.", (), _one(lambda s: s["values"]["workers"])),
    Row("counter", "paceline_worker_restarts", "Workers that died unasked.", (), _one(lambda s: s["restarts"])),
    Row("gauge", "db_client_connection_max", "Connections allowed, per worker.", _POOL, _pools("limit")),
    Row(
        "gauge", "db_client_connection_count", "Connections open.", (*_POOL, "db_client_connection_state"), _connections
    ),
    Row("gauge", "db_client_connection_pending_requests", "Waiting for one.", _POOL, _pools("waiting")),
    Row(
        "counter",
        "db_client_connection_timeouts",
        "Waits given up; of processes, calls refused because too many waited.",
        _POOL,
        _pools("timeouts"),
    ),
    Row("histogram", "db_client_connection_wait_time_seconds", "Wait for a connection.", _POOL, _pools("wait")),
    Row("histogram", "db_client_connection_use_time_seconds", "Use of a connection.", _POOL, _pools("hold")),
    Row("gauge", "paceline_process_pool_limit", "Processes allowed, per pod.", ("pool",), _processes("limit")),
    Row("gauge", "paceline_process_pool_calls", "Calls that run or wait.", ("pool", "state"), _calls),
    Row("counter", "paceline_process_pool_refused", "Calls that found no place.", ("pool",), _processes("timeouts")),
    Row("histogram", "paceline_process_pool_wait_seconds", "Wait for a process.", ("pool",), _processes("wait")),
    Row("histogram", "paceline_process_pool_run_seconds", "Time a call ran.", ("pool",), _processes("hold")),
    Row("counter", "paceline_cache_lookups", "Cache lookups.", ("cache", "result"), _lookups),
    Row("gauge", "paceline_cache_ttl_seconds", "TTL in force.", ("cache",), _each("caches", "ttlSeconds")),
    Row(
        "histogram",
        "paceline_cache_fetch_seconds",
        "Time to fetch what was missed.",
        ("cache",),
        _each("caches", "fetch"),
    ),
    Row("gauge", "paceline_admission_limit", "Requests admitted at a time, all workers.", (), _admission("limit")),
    Row("gauge", "paceline_admission_in_flight", "Requests without a response yet.", (), _admission("inFlight")),
    Row("counter", "paceline_admission_rejected", "Requests turned away.", (), _admission("rejected")),
    Row("counter", "paceline_admission_braked", "Seconds too slow or failing.", (), _admission("braked")),
    Row(
        "counter",
        "paceline_spans_exported",
        "Spans that the collector took.",
        (),
        _one(lambda s: s["spans"]["exported"]),
    ),
    Row(
        "counter",
        "paceline_spans_dropped",
        "Spans lost: no room, or refused.",
        (),
        _one(lambda s: s["spans"]["dropped"]),
    ),
    Row("gauge", "paceline_generation", "Tuning generation followed.", (), _one(lambda s: s["tuning"]["generation"])),
    Row("gauge", "paceline_pending", "Parts of it not done yet.", (), _one(lambda s: len(s["tuning"]["pending"]))),
    Row("gauge", "paceline_clamped", "Tunables cut.", (), _one(lambda s: len(s["tuning"]["clamped"]))),
    Row(
        "gauge",
        "paceline_unknown",
        "Names nothing is registered under.",
        (),
        _one(lambda s: len(s["tuning"]["unknown"])),
    ),
    Row("gauge", "paceline_refused", "1 while a document is refused.", ("reason",), _refused),
)


class StateCollector(Collector):
    """Lets prometheus_client read the table at each scrape."""

    def __init__(self, state: Callable[[], State], exemplars: Callable[[], Exemplars] = dict) -> None:
        self._state = state
        self._exemplars = exemplars

    def describe(self) -> list[Metric]:
        """Nothing: registering a collector must not build a state."""
        return []

    def collect(self) -> Iterator[Metric]:
        state = {**self._state(), "exemplars": self._exemplars()}
        return (_family(row, state) for row in METRICS)


def _family(row: Row, state: State) -> Metric:
    samples = row.read(state)
    if row.kind == "histogram":
        histogram = HistogramMetricFamily(row.name, row.help, labels=row.labels)
        for labels, wire in samples:
            histogram.add_metric(labels, _with_exemplars(wire), sum_value=wire["sum"])
        return histogram
    family = (CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily)(
        row.name, row.help, labels=row.labels
    )
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _with_exemplars(wire: Mapping[str, Any]) -> list[Any]:
    """The buckets, each with the latest request in it that has a trace; OpenMetrics alone shows those."""
    found = {bisect_left(BOUNDARIES, each["seconds"]): each for each in wire.get("exemplars", ())}
    plain = buckets(wire)
    return [
        (*bucket, Exemplar({"trace_id": found[place]["traceId"]}, found[place]["seconds"], found[place]["time"]))
        if place in found
        else bucket
        for place, bucket in enumerate(plain)
    ]


def buckets(histogram: Mapping[str, Any]) -> list[tuple[str, float]]:
    """A wire histogram in Prometheus's cumulative buckets.

    A bucket that straddles a boundary counts above it: at scale 4 a value at most 4.4 % below a boundary may be counted
    one bucket too high, never too low. Worked example: 0.0099 s lies in (0.00970, 0.01013], so above 0.01.
    """
    base = 2.0 ** (2.0 ** -histogram["scale"])
    counts = [0] * (len(BOUNDARIES) + 1)
    counts[0] = histogram["zeroCount"]
    for index, number in enumerate(histogram["counts"], histogram["offset"]):
        counts[bisect_left(BOUNDARIES, base ** (index + 1))] += number
    cumulative = [float(sum(counts[: position + 1])) for position in range(len(counts))]
    return list(zip([*map(str, BOUNDARIES), "+Inf"], cumulative, strict=True))
