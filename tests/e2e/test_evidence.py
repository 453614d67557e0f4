"""What the operator decides by itself on real pods: what is met is left alone, and one broken pod stops nothing."""

from collections.abc import Iterator
from typing import Any

import pytest
from background_load import BackgroundLoad
from release import Pinned, Release
from testcluster import until

# Far above what the pods do, so that it is met with room whatever else the machine does.
MET = {
    "mode": "Auto",
    "objective": {"p95": "5s"},
    "workers": {"min": 1, "max": 4},
    "pools": [{"name": "postgres", "min": 2, "max": 20}],
    "behavior": {"interval": "5s", "minSamples": 40, "stabilizationWindows": 1},
}
PODS = 5
WINDOWS = 5
DECISIONS = "paceline_operator_decisions_total{"
UNJUDGED = ("InsufficientTelemetry", "PinnedBySpec", "NotConverged")
# The run folder outlives its container; the next one refuses a folder that others may write to.
OPEN_THE_RUN_FOLDER = "import os; os.chmod(os.environ['PACELINE_RUN_DIR'], 0o777)"


@pytest.mark.invariant
def test_an_objective_that_is_met_grows_nothing(release: Release, load: BackgroundLoad) -> None:
    release.converge(Pinned(workers=1, postgres=5, ttl_seconds=60))
    before = len(_changes(release))
    with load:
        release.apply(MET)
        decided = _judged(release)
        until(lambda: _judged(release) >= decided + WINDOWS, 120, f"{WINDOWS} windows are judged")
    load.assert_nothing_failed()
    for state in release.answers().values():
        assert state["values"]["workers"] == 1
        assert state["values"]["pools"]["postgres"] <= 5
    assert release.condition("ObjectiveMet") == ("True", "WithinObjective"), _status(release)
    grown = [text for text in _changes(release)[before:] if "workers" in text]
    assert grown == []


@pytest.fixture
def one_broken(release: Release) -> Iterator[str]:
    """Five pods, of which the named one crashes again and again."""
    _scale(release, PODS)
    release.converge(Pinned(workers=1, postgres=3, ttl_seconds=60))
    name = release.pods()[0]["metadata"]["name"]
    release.execute(name, OPEN_THE_RUN_FOLDER)
    release.kill(name, "arbiter")
    until(lambda: _waiting(release, name) == "CrashLoopBackOff", 120, "the pod crashes again and again")
    yield name
    release.kubectl("delete", "pod", name, "--wait")
    _scale(release, 2)


@pytest.mark.invariant
def test_a_pod_that_crashes_again_and_again_stops_nothing(
    release: Release, load: BackgroundLoad, one_broken: str
) -> None:
    values = Pinned(workers=2, postgres=4, ttl_seconds=30)
    with load:
        release.apply({**values.spec(), "mode": "Auto"})
        until(lambda: _running(release, values) == PODS - 1, 90, f"the sound pods run it: {release.brief()}")
        until(lambda: one_broken in _left_out(release), 60, f"the broken one is named: {_status(release)}")
        release.apply({**MET, "workers": {"min": 1, "max": 2}})
        until(lambda: _workers(release) == 1, 120, f"tuning goes on: {_status(release)}")
    load.assert_nothing_failed()


def _status(release: Release) -> dict[str, Any]:
    return dict((release.policy() or {}).get("status") or {})


def _changes(release: Release) -> list[str]:
    return [entry["message"] for entry in _status(release).get("decisions", ()) if entry.get("changes")]


def _judged(release: Release) -> int:
    """Decisions since the operator's start that rest on a window with enough requests."""
    operator = release.pods("operator")[0]["metadata"]["name"]
    path = f"/api/v1/namespaces/{release.namespace}/pods/{operator}:8081/proxy/metrics"
    lines = [line for line in release.kubectl("get", "--raw", path).splitlines() if line.startswith(DECISIONS)]
    return sum(int(float(line.split()[-1])) for line in lines if not any(reason in line for reason in UNJUDGED))


def _left_out(release: Release) -> dict[str, str]:
    return {each["name"]: each["reason"] for each in _status(release).get("leftOut", ())}


def _waiting(release: Release, name: str) -> str | None:
    pod = next(pod for pod in release.pods() if pod["metadata"]["name"] == name)
    waiting = pod["status"]["containerStatuses"][0]["state"].get("waiting", {})
    return waiting.get("reason")


def _running(release: Release, values: Pinned) -> int:
    return sum(values.runs_in(state) for state in release.states().values() if state)


def _workers(release: Release) -> int:
    """The most that a pod runs of those that report."""
    return max(state["values"]["workers"] for state in release.states().values() if state)


def _scale(release: Release, replicas: int) -> None:
    release.kubectl("scale", "deployment/paceline-service", f"--replicas={replicas}")
    release.kubectl("rollout", "status", "deployment/paceline-service", "--timeout=180s")
    until(lambda: len(release.pods()) == replicas, 60, f"{replicas} pods are left")
