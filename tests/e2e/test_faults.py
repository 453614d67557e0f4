"""Whatever is killed, the pod ends in a clear state and the next change goes through."""

import json
from typing import Any

from release import Pinned, Release
from testcluster import until

START = Pinned(workers=1, postgres=5, ttl_seconds=60)
TUNED = Pinned(workers=2, postgres=4, ttl_seconds=30)


def restarts(pod: dict[str, Any]) -> int:
    return sum(status["restartCount"] for status in pod["status"]["containerStatuses"])


def the_pod(release: Release, name: str) -> dict[str, Any]:
    return next(pod for pod in release.pods() if pod["metadata"]["name"] == name)


def is_ready(pod: dict[str, Any]) -> bool:
    return all(status["ready"] for status in pod["status"]["containerStatuses"])


def test_a_killed_worker_is_replaced_with_the_values_in_force(release: Release) -> None:
    release.converge(TUNED)
    pod = release.pods()[0]
    name = pod["metadata"]["name"]
    before = release.answers()[name]
    victim = before["workers"][0]["pid"]
    release.execute(name, f"import os; os.kill({victim}, 9)")

    def replaced() -> dict[str, Any] | None:
        state = release.state(name)
        pids = [worker["pid"] for worker in state["workers"]] if state else [victim]
        return state if victim not in pids and TUNED.runs_in(state) else None

    after = until(replaced, 60, "another worker runs the same values")
    assert after is not None
    assert after["restarts"] == before["restarts"] + 1
    assert after["tuning"]["generation"] == before["tuning"]["generation"]
    assert restarts(the_pod(release, name)) == restarts(pod)


def test_a_killed_agent_is_restarted_in_its_container(release: Release) -> None:
    release.converge(TUNED)
    victim = release.pods()[0]
    name = victim["metadata"]["name"]
    before = release.answers()[name]
    release.kill(name, "agent")
    release.converge(Pinned(workers=3, postgres=3, ttl_seconds=20))
    after = until(lambda: release.state(name), 60, "the pod answers")
    assert after is not None
    assert after["startedAt"] == before["startedAt"]
    assert restarts(the_pod(release, name)) == restarts(victim)


def test_a_killed_arbiter_takes_its_container_down_and_the_pod_comes_back_careful(release: Release) -> None:
    release.converge(START)
    release.converge(TUNED)
    victim, other = release.pods()
    name = victim["metadata"]["name"]
    release.kill(name, "arbiter")
    until(
        lambda: restarts(pod := the_pod(release, name)) == restarts(victim) + 1 and is_ready(pod),
        90,
        "the container is restarted and ready",
    )
    ended = the_pod(release, name)["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert ended["exitCode"] not in {0, 137}, ended
    state = until(lambda: release.state(name), 60, "the pod answers")
    assert state is not None
    # After an unclean exit the smaller of document and start value holds, until a new generation comes.
    assert state["values"]["workers"] == START.workers
    assert {"workers"} == {item["tunable"] for item in state["tuning"]["clamped"] if item["by"] == "uncleanExit"}
    assert restarts(the_pod(release, other["metadata"]["name"])) == restarts(other)
    release.converge(Pinned(workers=3, postgres=3, ttl_seconds=20))


def test_an_operator_killed_without_a_word_is_replaced_and_goes_on(release: Release) -> None:
    release.converge(TUNED)
    operator = release.pods("operator")[0]["metadata"]["name"]
    release.kubectl("delete", "pod", operator, "--force", "--grace-period=0")
    until(lambda: release.acked(TUNED), 30, "the pods run what they ran")
    release.converge(START)


def test_without_an_operator_pods_keep_their_values(release: Release) -> None:
    release.converge(TUNED)
    release.kubectl("scale", "deployment/paceline-operator", "--replicas=0")
    until(lambda: not release.pods("operator"), 60, "the operator is gone")
    release.kubectl("delete", "pod", release.pods()[0]["metadata"]["name"], "--wait")
    until(lambda: len(release.states()) == 2 and release.acked(TUNED), 90, "old and new pods run the same values")
    release.apply(START.spec())
    release.kubectl("scale", "deployment/paceline-operator", "--replicas=1")
    until(lambda: release.acked(START), 90, "the operator carries out what was asked meanwhile")


def test_a_corrupt_document_changes_nothing_and_is_written_anew(release: Release) -> None:
    release.converge(TUNED)
    generation = release.generation()
    release.kubectl("patch", "configmap", "paceline-service-tuning", "--patch", '{"data": {"tuning.json": "{"}}')

    def repaired() -> bool:
        assert all(TUNED.are_in(state) for state in release.states().values() if state)
        content = (release.document() or {})["data"]["tuning.json"]
        return content != "{" and json.loads(content)["generation"] > generation

    until(repaired, 60, "the operator writes a whole document under a new generation")
    until(lambda: release.acked(TUNED), 60, "every pod runs it")
    release.converge(START)
