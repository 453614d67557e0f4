"""A pod with too little memory for the workers asked for adds those that fit, says so, and lives."""

from collections.abc import Iterator

import pytest
from release import Pinned, Release
from testcluster import until

ASKED = 12
ROOM_FOR = 2.5
"""Workers that the limit leaves room for beside the first; the rule keeps a tenth of the limit free."""


@pytest.fixture
def tight(release: Release) -> Iterator[int]:
    """The pods' memory limit in bytes, put back afterwards."""
    release.converge(Pinned(workers=1, postgres=3, ttl_seconds=60))
    memory = until(lambda: _weighed(release), 60, "all pods know what a worker weighs")
    used, worker = (max(entry[key] for entry in memory) for key in ("usedBytes", "perWorkerBytes"))
    limit = int((used + ROOM_FOR * worker) / 0.9)
    _limit_memory(release, request="64Mi", limit=str(limit))
    yield limit
    _limit_memory(release, request="256Mi", limit="1Gi")


def _weighed(release: Release) -> list[dict[str, int]]:
    memory = [state["memory"] for state in release.answers().values()]
    return memory if all(entry["perWorkerBytes"] for entry in memory) else []


def _limit_memory(release: Release, *, request: str, limit: str) -> None:
    deployment = "deployment/paceline-service"
    options = ("--containers=service", f"--requests=memory={request}", f"--limits=memory={limit}")
    release.kubectl("set", "resources", deployment, *options)
    release.kubectl("rollout", "status", deployment, "--timeout=180s")


def test_workers_that_do_not_fit_are_not_added(release: Release, tight: int) -> None:
    release.apply(Pinned(workers=ASKED, postgres=3, ttl_seconds=60).spec())

    def clamped() -> bool:
        states = [state for state in release.states().values() if state]
        return bool(states) and all(
            {entry["by"] for entry in state["tuning"]["clamped"] if entry["tunable"] == "workers"} == {"memory"}
            and not state["tuning"]["pending"]
            for state in states
        )

    until(clamped, 90, f"every pod clamps its workers: {release.brief()}")
    for state in release.answers().values():
        assert state["memory"]["limitBytes"] == pytest.approx(tight, abs=4096)
        assert 1 <= state["values"]["workers"] < ASKED
        assert len([worker for worker in state["workers"] if worker["ready"]]) == state["values"]["workers"]
    killed = [status["restartCount"] for pod in release.pods() for status in pod["status"]["containerStatuses"]]
    assert not any(killed)
    until(
        lambda: release.condition("Converged") == ("True", "AllPodsApplied"), 60, "what was granted counts as applied"
    )
