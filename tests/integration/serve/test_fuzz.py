"""Requests that chance makes of good and bad parts: each gets a documented response or a close, none hangs.

300 of them by default; `make fuzz` sends 10,000 to either port. A seed is printed with what fails.
"""

import asyncio
from collections.abc import Iterator

import pytest
from raw_fuzz import REFUSALS, Good, fuzz
from serving import Served, pod

pytestmark = [pytest.mark.invariant, pytest.mark.fuzz, pytest.mark.timeout(1200)]

APPLICATION = Good([b"GET /", b"POST /p", b"POST /early"])
MANAGEMENT = Good(
    [
        b"GET /livez",
        b"GET /readyz",
        b"GET /state",
        b"GET /metrics",
        b"HEAD /livez",
        b"GET /state?groups=a",
        b"POST /state",
    ]
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    limits = {"head_timeout_seconds": 0.5, "body_timeout_seconds": 0.5, "keepalive_seconds": 0.5}
    with pod(tmp_path_factory.mktemp("fuzz"), "mirroring:app", max_body_bytes=1000, **limits) as started:
        yield started


@pytest.mark.parametrize("which", ["application", "management"])
def test_nothing_hangs_and_nothing_breaks(served: Served, which: str) -> None:
    workers = served.ready_workers()
    port, good = (served.port, APPLICATION) if which == "application" else (served.management_port, MANAGEMENT)
    assert asyncio.run(fuzz(port, good, {100, 101, 200} | REFUSALS)) == []
    assert served.get()[0] == 200
    assert served.ready_workers() == workers, "the worker lives"
    assert "Traceback" not in served.stderr
