"""Whole pods, and the arbiter alone with the test in the agent's place."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from serving import Served, StartArbiter, StartPod, arbiter_command, eventually, pod, serving


@pytest.fixture
def start_arbiter(tmp_path: Path) -> Iterator[StartArbiter]:
    """Starts an arbiter; settings are PACELINE_* names in lower case. Waits until `workers` are ready."""
    with ExitStack() as stack:

        def start(target: str = "plain:app", *, workers: int = 1, **settings: object) -> Served:
            environment = {f"PACELINE_{name.upper()}": str(value) for name, value in settings.items()}
            served = stack.enter_context(serving(arbiter_command(target), tmp_path, environment))
            served.speak(workers=workers)
            eventually(lambda: served.ended() or len(served.ready_workers()) == workers, f"{workers} ready workers")
            assert not served.ended(), served.stderr
            return served

        yield start


@pytest.fixture
def start_pod(tmp_path: Path) -> Iterator[StartPod]:
    """Starts `paceline serve` and waits until it is ready."""
    with ExitStack() as stack:
        yield lambda *target, **settings: stack.enter_context(pod(tmp_path, *target, **settings))
