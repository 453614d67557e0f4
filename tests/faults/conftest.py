"""Whole pods to break."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from serving import StartPod, pod


@pytest.fixture
def start_pod(tmp_path: Path) -> Iterator[StartPod]:
    """Starts `paceline serve` and waits until it is ready."""
    with ExitStack() as stack:
        yield lambda *target, **settings: stack.enter_context(pod(tmp_path, *target, **settings))
