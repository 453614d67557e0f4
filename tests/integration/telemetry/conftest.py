"""Pods that trace to a collector of the test's."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from collector import Behaviour, Collector, StartCollector, collecting
from serving import Served, StartPod, eventually, serve_command, serving

APPLICATIONS = Path(__file__).parent / "applications"


@pytest.fixture
def start_collector() -> Iterator[StartCollector]:
    with ExitStack() as stack:

        def start(behaviour: Behaviour = "takes") -> Collector:
            return stack.enter_context(collecting(behaviour))

        yield start


@pytest.fixture
def start_traced(tmp_path: Path) -> Iterator[StartPod]:
    """Starts `paceline serve` with an endpoint to export to; settings are environment variables."""
    numbers = itertools.count(1)
    with ExitStack() as stack:

        def start(endpoint: str, *, target: str = "traced:app", **variables: object) -> Served:
            environment = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                "OTEL_BSP_SCHEDULE_DELAY": "200",
                "PACELINE_KEEPALIVE_SECONDS": "1",
                **{name: str(value) for name, value in variables.items()},
            }
            folder = tmp_path / f"pod-{next(numbers)}"
            folder.mkdir()
            served = stack.enter_context(serving(serve_command(target), folder, environment, APPLICATIONS))
            eventually(lambda: served.ended() or served.management("/readyz") == 200, "the pod is ready")
            assert not served.ended(), served.stderr
            return served

        yield start
