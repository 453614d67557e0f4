"""`pass`: one whole pass over 1,000 pods, from the bytes of their `/state` to the decision, on one core.

What a pod costs is the slope between a small fleet and the large one; what is on top is a pass over a single pod.
"""

import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Final

import orjson
from paceline.telemetry.histogram import Histogram
from paceline_operator.core.measure.window import Window
from paceline_operator.core.model.policy import Mode
from paceline_operator.crd.document import build_document, parse_document
from paceline_operator.crd.switches import Switches
from paceline_operator.crd.v1alpha1 import parse_policy
from paceline_operator.loop.gather import Gathered
from paceline_operator.loop.think import Thought, think
from paceline_operator.ports import Pod, PolicyKey, PolicyResource, StoredDocument, Workload
from paceline_operator.telemetry.state import parse_state

from tests.benchmarks.effort import Effort
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores

BENCH: Final = "fleet"
PODS: Final = 1000
A_POD_MILLISECONDS: Final = 2.0
ON_TOP_MILLISECONDS: Final = 50.0
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
INTERVAL: Final = timedelta(seconds=60)
ROUTES: Final = 8
"""The most groups that a pod reports."""
GHOSTS: Final = 10
DIFFERENT: Final = 16
"""Pods that differ; a thousand are these, again and again."""
SPEC: Final[Mapping[str, Any]] = {
    "targetRef": {"kind": "Deployment", "name": "api"},
    "mode": "Auto",
    "objective": {"p95": "45ms"},
    "workers": {"min": 1, "max": 8},
    "pools": [{"name": "postgres", "min": 1, "max": 20}, {"name": "redis", "min": 1, "max": 40}],
    "caches": [{"name": "responses", "ttl": {"min": "5s", "max": "300s"}}],
    "behavior": {"interval": "60s"},
}
RUNNING: Final[Mapping[str, Any]] = {
    "workers": 2,
    "pools": {"postgres": 2, "redis": 10},
    "caches": {"responses": {"ttlSeconds": 60}},
}
TUNING: Final[Mapping[str, Any]] = {
    "generation": 7,
    "digest": None,
    "appliedAt": None,
    "pending": [],
    "clamped": [],
    "unknown": [],
    "refused": None,
}


def run(effort: Effort, cores: Cores) -> Iterator[Row]:
    one, many = Bodies.of(1), Bodies.of(PODS)
    small, large = [], []
    for number in range(effort.pairs):
        print(f"{BENCH}: pass {number + 1} of {effort.pairs} over {PODS} pods", file=sys.stderr)
        small.append(pass_seconds(one))
        large.append(pass_seconds(many))
    a_pod = [(whole - single) / (PODS - 1) * 1e3 for whole, single in zip(large, small, strict=True)]
    yield _below(f"ms a pod of {PODS}", median(a_pod), A_POD_MILLISECONDS)
    yield _below("ms on top", median(small) * 1e3, ON_TOP_MILLISECONDS)
    yield _below(f"ms the whole pass over {PODS}", median(large) * 1e3, PODS * A_POD_MILLISECONDS + ON_TOP_MILLISECONDS)


def _below(metric: str, ours: float, limit: float) -> Row:
    return Row(BENCH, "the limit", metric, ours, limit, limit / ours, 1.0)


@dataclass(frozen=True)
class Bodies:
    """What all pods answer, at the beginning of a window and at its end."""

    before: Mapping[str, bytes]
    after: Mapping[str, bytes]

    @classmethod
    def of(cls, pods: int) -> "Bodies":
        histories = [History(random.Random(number)) for number in range(min(pods, DIFFERENT))]
        ends = []
        for uptime in (1000.0, 1000.0 + INTERVAL.total_seconds()):
            states = [history.state(uptime) for history in histories]
            ends.append({f"pod-{n}": orjson.dumps(states[n % DIFFERENT]) for n in range(pods)})
        return cls(*ends)


class History:
    """One pod's cumulative counters, moved on by a window each time they are asked for."""

    def __init__(self, drawn: random.Random) -> None:
        self._drawn = drawn
        self._histograms: dict[str, Histogram] = {}

    def state(self, uptime: float) -> Mapping[str, Any]:
        """As `/state` answers: eight routes, two pools, a cache."""
        return {
            "schema": "paceline.dev/state/v1",
            "version": "0.1.0",
            "accepts": ["tuning/v1"],
            "pod": {"name": "api-1", "uid": "one"},
            "startedAt": "2026-01-01T00:00:00Z",
            "uptimeSeconds": uptime,
            "tuning": TUNING,
            "values": RUNNING,
            "startValues": RUNNING,
            "workers": [],
            "requests": [self._route(f"GET /route-{number}") for number in range(ROUTES)],
            "loopLag": self._recorded("lag", 0.001),
            "pools": {"postgres": self._pool("postgres", 2), "redis": self._pool("redis", 10)},
            "unregistered": [],
            "caches": {"responses": self._cache(uptime)},
            "cpu": {"limit": 2.0, "usageSeconds": uptime * 0.8, "periods": int(uptime * 10), "throttledPeriods": 0},
            "memory": {"limitBytes": 2 << 30, "usedBytes": 300 << 20, "perWorkerBytes": 60 << 20},
            "admission": None,
            "spans": {"exported": 0, "dropped": 0},
            "restarts": 0,
        }

    def _recorded(self, name: str, mean: float) -> Mapping[str, Any]:
        histogram = self._histograms.setdefault(name, Histogram())
        for _ in range(500):
            histogram.record(mean * self._drawn.lognormvariate(0, 0.8))
        return histogram.to_json()

    def _route(self, group: str) -> Mapping[str, Any]:
        duration = self._recorded(group, 0.02)
        return {"group": group, "count": duration["count"], "errors": 0, "duration": duration}

    def _pool(self, name: str, limit: int) -> Mapping[str, Any]:
        waits, holds = self._recorded(f"{name} wait", 0.002), self._recorded(f"{name} hold", 0.006)
        gauges = {"inUse": 1, "open": limit, "waiting": 0, "serverMaxConnections": None}
        return {"kind": "asyncpg", "limit": limit, "cap": 64, "timeouts": 0, "wait": waits, "hold": holds, **gauges}

    def _cache(self, uptime: float) -> Mapping[str, Any]:
        ghosts = [
            {"ttlSeconds": 2.0**power, "hits": int(uptime * power), "misses": int(uptime * (GHOSTS - power))}
            for power in range(GHOSTS)
        ]
        hits = int(uptime * 20)
        return {
            "ttlSeconds": 60,
            "hits": hits,
            "misses": hits,
            "staleHits": 0,
            "fetch": self._recorded("fetch", 0.02),
            "ghosts": ghosts,
        }


def pass_seconds(bodies: Bodies) -> float:
    """CPU time from the bytes at the end of a window to the decision.

    Raises:
        RuntimeError: no decision fell, or it rests on less than all pods: then the measurement is worth nothing.
    """
    pods = tuple(bodies.after)
    first = think(_gathered(bodies.before, pods), Window(), START, mode=Mode.AUTO, telemetry_age_seconds=0.0)
    started = time.process_time()
    thought = _thought(bodies.after, pods, first.window)
    elapsed = time.process_time() - started
    if thought.decision is None or thought.observation is None or thought.observation.pods != len(pods):
        raise RuntimeError(f"no decision on all {len(pods)} pods: {thought.decision}")
    return elapsed


def _thought(bodies: Mapping[str, bytes], pods: Sequence[str], window: Window) -> Thought:
    return think(_gathered(bodies, pods), window, START + INTERVAL, mode=Mode.AUTO, telemetry_age_seconds=0.0)


def _gathered(bodies: Mapping[str, bytes], pods: Sequence[str]) -> Gathered:
    policy = parse_policy(SPEC, "shop")
    states = {uid: parse_state(orjson.loads(body)) for uid, body in bodies.items()}
    found = tuple(Pod(uid, uid, f"http://{uid}/state", ready=True) for uid in pods)
    content = build_document(7, next(iter(states.values())).values, "shop/api")
    return Gathered(
        resource=PolicyResource(PolicyKey("shop", "api"), "one", 1, "1", START, SPEC),
        policy=policy,
        switches=Switches(),
        workload=Workload("shop", "apps/v1", "Deployment", "api", "w", len(found), rolling_out=False, pods=found),
        stored=StoredDocument(content, "1"),
        document=parse_document(content),
        states=states,
    )
