"""What a decision rests on comes from a real pod: every signal that the core reads is measured and adds up."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from paceline_operator.core.measure.observe import PodWindow, observe
from paceline_operator.core.measure.pods import PodState
from paceline_operator.telemetry.state import parse_state
from serving import Served, eventually, pod

REQUESTS = 60
CLIENTS = 60
HOLD_SECONDS = 0.1


def test_every_signal_of_a_window_is_measured(
    tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POOLED_DSN", postgres_dsn)
    with pod(tmp_path, "pooled:app", workers=2) as served:
        before = eventually(lambda: _weighed(served), "all workers are weighed")
        with ThreadPoolExecutor(CLIENTS) as clients:
            responses = list(clients.map(lambda _: served.get()[0], range(REQUESTS)))
        after = eventually(lambda: _counted(served, responses), "all requests are reported")

    seen = observe([PodWindow(before, after)])

    assert responses == [200] * REQUESTS
    assert seen is not None
    assert (seen.requests, seen.errors, seen.duration.count) == (REQUESTS, 0, REQUESTS)
    assert seen.p95 is not None
    assert seen.p95 > HOLD_SECONDS / 1.05
    postgres = seen.pools["postgres"]
    assert postgres.wait.count == postgres.hold.count == REQUESTS
    assert postgres.hold.mean is not None
    assert postgres.hold.mean >= HOLD_SECONDS / 1.05
    assert postgres.wait.total > 0, "sixty clients, ten connections: some wait"
    assert seen.loop_lag.count > 0
    assert seen.cpu_seconds > 0
    assert after.memory.per_worker_bytes > 1 << 20


def _weighed(served: Served) -> PodState | None:
    state = parse_state(served.state())
    ready = len(served.state()["workers"]) == 2 and not state.pending
    return state if state.memory.per_worker_bytes and ready else None


def _counted(served: Served, responses: list[int]) -> PodState | None:
    state = parse_state(served.state())
    return state if sum(group.count for group in state.requests.values()) >= len(responses) else None
