"""The promise: running pods take new values within seconds, under load, and no request is lost."""

import time
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any

import pytest
from background_load import BackgroundLoad
from release import ROOT, Pinned, Release, example
from testcluster import until

EXAMPLES = sorted(path.stem for path in (ROOT / "k8s" / "examples").glob("*.yaml"))
START = Pinned(workers=1, postgres=2, ttl_seconds=60)
STEPS = [
    Pinned(workers=4, postgres=2, ttl_seconds=60),
    Pinned(workers=4, postgres=10, ttl_seconds=60),
    Pinned(workers=4, postgres=10, ttl_seconds=5),
    Pinned(workers=2, postgres=10, ttl_seconds=5),
    Pinned(workers=2, postgres=3, ttl_seconds=5),
    Pinned(workers=2, postgres=3, ttl_seconds=60),
    START,
]
ROUNDS = 2
# Keep-alive, longest request and two seconds: connections of a removed worker are let go, never cut.
REMOVED_SECONDS = 5 + 1 + 2
VALUES_SECONDS = 2.0


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_understood_and_converges(release: Release, name: str) -> None:
    policy = example(name)
    release.cluster.apply(release.namespace, policy)
    wait = ["wait", "tuningpolicy/api", "--timeout=120s"]
    release.kubectl(*wait, "--for=condition=Ready")
    if policy["spec"].get("mode") == "Auto":
        release.kubectl(*wait, "--for=condition=Converged")
    if _pins_something(policy["spec"]):  # else the start values may do, and nothing is written
        assert release.document() is not None


def _pins_something(spec: dict[str, Any]) -> bool:
    named = (spec.get("workers", {}), *spec.get("pools", ()))
    return spec.get("mode") == "Auto" and any("value" in tunable for tunable in named)


@pytest.mark.invariant
def test_values_change_under_load_without_a_failed_request(
    release: Release, load: BackgroundLoad, say: Callable[[str], None]
) -> None:
    release.converge(START)
    changed: list[float] = []
    removed: list[float] = []
    now = START
    with load:
        for step in STEPS * ROUNDS:
            seconds = release.converge(step)
            (removed if step.workers < now.workers else changed).append(seconds)
            now = step
            time.sleep(1)  # traffic on the new values, not a wait for anything
    load.assert_nothing_failed()
    say(str(load))
    say(f"apply to acks, values and added workers: p95 {p95(changed):.2f} s of {show(changed)}")
    say(f"apply to acks, removed workers:          p95 {p95(removed):.2f} s of {show(removed)}")
    # A busy machine gets twice the goal, and may be late now and then. Without the nudge it would be a minute.
    assert median(changed) <= VALUES_SECONDS * 2
    assert median(removed) <= REMOVED_SECONDS * 2


@pytest.mark.invariant
def test_an_operator_that_restarts_in_between_loses_nothing(release: Release, load: BackgroundLoad) -> None:
    release.converge(START)
    with load:
        release.kubectl("rollout", "restart", "deployment/paceline-operator")
        release.apply(STEPS[0].spec())
        release.kubectl("rollout", "status", "deployment/paceline-operator", "--timeout=90s")
        until(lambda: release.acked(STEPS[0]), 60, "the new operator carries out what was asked of the old one")
        release.converge(START)
    load.assert_nothing_failed()


@pytest.mark.invariant
def test_a_rollout_under_load_keeps_the_values_and_loses_nothing(release: Release, load: BackgroundLoad) -> None:
    values = Pinned(workers=2, postgres=4, ttl_seconds=30)
    release.converge(values)
    before = set(release.states())
    with load:
        release.upgrade("service.podAnnotations.round=two")
        until(lambda: not before & set(release.states()) and release.acked(values), 90, "new pods run the old values")
        until(lambda: release.condition("Converged") == ("True", "AllPodsApplied"), 60, "the policy knows")
    load.assert_nothing_failed()


def test_values_outlive_their_policy_and_tuning_goes_on_with_the_next(release: Release) -> None:
    values = Pinned(workers=2, postgres=4, ttl_seconds=30)
    release.converge(values)
    generation = release.generation()
    release.delete_policies()
    release.kubectl("delete", "pod", "--selector=app.kubernetes.io/component=service", "--wait")
    until(lambda: len(release.pods()) == 2 and release.acked(values), 90, "new pods run what the policy left behind")
    release.converge(START)
    assert all(state["tuning"]["generation"] > generation for state in release.answers().values())


def test_a_deleted_document_comes_back_and_nothing_moves(release: Release) -> None:
    release.converge(START)
    before = running(release)
    release.kubectl("delete", "configmap", "paceline-service-tuning")
    until(release.document, 60, "the operator writes it anew")
    until(lambda: release.acked(START), 60, "all pods follow it")
    assert running(release) == before
    release.converge(STEPS[0])
    release.converge(START)


def running(release: Release) -> dict[str, object]:
    """What each pod runs, and its workers' pids."""
    return {
        name: (state["values"], sorted(worker["pid"] for worker in state["workers"]))
        for name, state in release.answers().items()
    }


def p95(seconds: list[float]) -> float:
    return quantiles(seconds, n=20, method="inclusive")[-1]


def show(seconds: list[float]) -> str:
    return " ".join(f"{item:.2f}" for item in seconds)
