from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fake_arbiter import AgentPod, agent_pod


@pytest.fixture
def start_agent(tmp_path: Path) -> Iterator[Callable[..., AgentPod]]:
    """Starts the real agent with fake workers; settings are PACELINE_* names in lower case."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(agent_pod(tmp_path, **settings))
