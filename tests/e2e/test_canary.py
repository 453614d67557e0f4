"""A change of workers goes to one of four pods first, then to all, and no request is lost on the way."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from background_load import BackgroundLoad
from release import Pinned, Release
from testcluster import until

PODS = 4
ATTEMPTS = 3
START = Pinned(workers=2, postgres=10, ttl_seconds=60)
# Far below what the pods can do, so that one worker less meets the objective whatever else the machine does.
THRIFTY = {
    "mode": "Auto",
    "objective": {"p95": "5s"},
    "workers": {"min": 1, "max": 2},
    "behavior": {"interval": "5s", "minSamples": 40, "stabilizationWindows": 1, "canary": {"pods": 1}},
}


@pytest.fixture(scope="module")
def four_pods(release: Release) -> Iterator[None]:
    _scale(release, PODS)
    release.converge(START)
    yield
    release.delete_policies()
    _scale(release, 2)


def _scale(release: Release, replicas: int) -> None:
    release.kubectl("scale", "deployment/paceline-service", f"--replicas={replicas}")
    release.kubectl("rollout", "status", "deployment/paceline-service", "--timeout=120s")
    until(lambda: len(release.pods()) == replicas, 60, f"{replicas} pods are left")


@pytest.mark.invariant
@pytest.mark.usefixtures("four_pods")
def test_a_change_is_tried_on_one_pod_and_given_to_all(release: Release, load: BackgroundLoad) -> None:
    with load:
        assert any(_tried(release) for _ in range(ATTEMPTS)), f"it went to all pods at once: {_said(release)}"
        until(lambda: _workers(release) == [1, 2, 2, 2], 60, f"one pod tries it: {_said(release)}")
        until(lambda: _workers(release) == [1, 1, 1, 1], 90, f"all pods have it: {_said(release)}")
        until(lambda: release.condition("Converged") == ("True", "AllPodsApplied"), 60, "the policy knows")
    load.assert_nothing_failed()
    assert _changes(release)[-2:] == [
        "trying workers 2→1 on 1 of 4 pods",
        "workers 2→1 for all pods, tried on 1 of 4 pods",
    ]


@pytest.mark.invariant
@pytest.mark.usefixtures("four_pods")
def test_a_policy_that_is_deleted_takes_its_trial_along(release: Release, load: BackgroundLoad) -> None:
    with load:
        assert any(_tried(release) for _ in range(ATTEMPTS)), f"it went to all pods at once: {_said(release)}"
        assert _tried_on(release), "one pod is to try it"
        release.delete_policies()
        until(lambda: not _tried_on(release), 30, "the operator takes it back")
        until(lambda: _workers(release) == [2, 2, 2, 2], 60, "all pods have the common values")
    load.assert_nothing_failed()


def _tried(release: Release) -> bool:
    """From the start; False where a pod stood out in that window, so that nobody waited for a trial."""
    release.converge(START)
    seen = len(_changes(release))
    release.apply(THRIFTY)
    until(lambda: len(_changes(release)) > seen, 90, f"something changes: {_said(release)}")
    return _changes(release)[-1].startswith("trying")


def _tried_on(release: Release) -> list[str]:
    """Uids of the pods that the document gives values of their own."""
    document = release.document()
    return [*json.loads(document["data"]["tuning.json"]).get("overrides", {})] if document else []


def _changes(release: Release) -> list[str]:
    """The sentences of the changes made, without their figures."""
    entries = _said(release).get("decisions", ())
    return [entry["message"].partition(": ")[0] for entry in entries if entry.get("changes")]


def _workers(release: Release) -> list[int]:
    """By pod, the workers that are ready where nothing is under way; 0 elsewhere."""
    states = release.states().values()
    return sorted(
        sum(worker["ready"] for worker in state["workers"]) if state and not state["tuning"]["pending"] else 0
        for state in states
    )


def _said(release: Release) -> dict[str, Any]:
    return dict((release.policy() or {}).get("status") or {})
