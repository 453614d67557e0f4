"""Kubernetes objects as values: what counts as a pod, where it is asked, and what is a rollout."""

from datetime import UTC, datetime
from typing import Any

import pytest
from paceline_operator.cluster.objects import is_rolling_out, read_pods, read_policy, template_digest
from paceline_operator.core.situation.situation import Ended


def pod(name: str = "api-1", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "spec": {
            "containers": [
                {"name": "proxy", "ports": [{"name": "http", "containerPort": 80}]},
                {"name": "api", "ports": [{"containerPort": 8000}, {"name": "paceline", "containerPort": 9090}]},
            ]
        },
        "status": {"phase": "Running", **status},
    }


@pytest.mark.parametrize(
    ("address", "url"),
    [
        pytest.param("10.0.0.7", "http://10.0.0.7:9090/state", id="an IPv4 address and the port named paceline"),
        pytest.param("fd00::7", "http://[fd00::7]:9090/state", id="an IPv6 address in brackets"),
        pytest.param(None, None, id="no address yet"),
    ],
)
def test_where_a_pod_is_asked(address: str | None, url: str | None) -> None:
    assert read_pods([pod(podIP=address)])[0].state_url == url


def test_a_pod_without_a_port_named_paceline_is_asked_nowhere() -> None:
    stranger = pod(podIP="10.0.0.7")
    stranger["spec"]["containers"] = [{"name": "api"}]
    assert read_pods([stranger])[0].state_url is None


def test_a_native_sidecar_with_the_port_is_the_one_that_is_asked_and_watched() -> None:
    statuses = [{"name": "api", "restartCount": 2, "lastState": terminated()}]
    served = pod(podIP="10.0.0.7", initContainerStatuses=statuses)
    served["spec"]["volumes"] = [{"name": "tuning", "configMap": {"name": "api-tuning"}}]
    mounts = [{"name": "tuning", "mountPath": "/etc/paceline/tuning"}]
    api = {**served["spec"]["containers"].pop(), "volumeMounts": mounts}

    served["spec"]["initContainers"] = [{**api, "restartPolicy": "Always"}]
    (read,) = read_pods([served])
    assert (read.state_url, read.documents) == ("http://10.0.0.7:9090/state", ("api-tuning",))
    assert read.ended == (Ended("api", NOON, restarts=2),)

    served["spec"]["initContainers"] = [api]  # one that ends before the pod is ready
    assert read_pods([served])[0].state_url is None


def terminated(reason: str = "Error", finished: str | None = "2026-01-01T12:00:00Z") -> dict[str, Any]:
    return {"terminated": {"reason": reason, "finishedAt": finished}}


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_restarts_of_a_sidecar_do_not_count() -> None:
    statuses = [
        {"name": "proxy", "restartCount": 9, "lastState": terminated("OOMKilled")},
        {"name": "api", "restartCount": 2, "lastState": terminated()},
    ]
    read = read_pods([pod(containerStatuses=statuses)])[0]
    assert read.ended == (Ended("api", NOON, restarts=2),)


@pytest.mark.parametrize(
    "states",
    [
        pytest.param({}, id="it has never ended"),
        pytest.param({"lastState": {}}, id="nothing is said of an end"),
        pytest.param({"state": {"running": {}}, "lastState": {"terminated": None}}, id="null"),
        pytest.param({"lastState": terminated(finished=None)}, id="nobody says when"),
        pytest.param({"lastState": terminated(finished="soon")}, id="no time"),
        pytest.param({"lastState": terminated(finished="2026-01-01T12:00:00")}, id="a time without a zone"),
    ],
)
def test_a_container_that_has_not_ended(states: dict[str, Any]) -> None:
    assert read_pods([pod(containerStatuses=[{"name": "api", "restartCount": 0, **states}])])[0].ended == ()


def test_the_last_end_of_a_container_counts() -> None:
    status = {
        "name": "api",
        "state": terminated("Error", "2026-01-01T12:00:00Z"),
        "lastState": terminated("OOMKilled", "2025-12-01T12:00:00Z"),
    }
    assert read_pods([pod(containerStatuses=[status])])[0].ended == (Ended("api", NOON),)


@pytest.mark.parametrize("state", ["state", "lastState"])
def test_a_process_killed_for_memory_is_seen_while_it_is_down_and_after(state: str) -> None:
    status = {"name": "api", "restartCount": 1, state: terminated("OOMKilled")}
    assert read_pods([pod(containerStatuses=[status])])[0].ended == (Ended("api", NOON, out_of_memory=True),)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_finished_pods_are_left_out(phase: str) -> None:
    assert [one.name for one in read_pods([pod("gone", phase=phase), pod("b"), pod("a")])] == ["a", "b"]


def test_ready_and_terminating() -> None:
    leaving = pod("leaving", conditions=[{"type": "Ready", "status": "False"}])
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    serving = pod("serving", conditions=[{"type": "Ready", "status": "True"}])
    read = read_pods([leaving, serving])
    assert [(one.ready, one.terminating) for one in read] == [(False, True), (True, False)]


def deployment(*, replicas: int = 2, generation: int = 3, **status: Any) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"generation": generation},
        "spec": {"replicas": replicas},
        "status": status,
    }


@pytest.mark.parametrize(
    ("item", "rolling"),
    [
        pytest.param(deployment(observedGeneration=3, replicas=2, updatedReplicas=2), False, id="all pods are new"),
        pytest.param(deployment(observedGeneration=2, updatedReplicas=2), True, id="the newest spec is unseen"),
        pytest.param(deployment(observedGeneration=3, updatedReplicas=1), True, id="a new pod is missing"),
        pytest.param(deployment(observedGeneration=3), True, id="no new pod yet"),
        pytest.param(deployment(replicas=0, observedGeneration=3), False, id="scaled to nothing"),
        pytest.param(
            deployment(observedGeneration=3, updatedReplicas=2, unavailableReplicas=1), False, id="a pod crashes"
        ),
        pytest.param(
            {"kind": "StatefulSet", "metadata": {}, "status": {"currentRevision": "a", "updateRevision": "b"}},
            True,
            id="a StatefulSet between two revisions",
        ),
        pytest.param(
            {"kind": "StatefulSet", "metadata": {}, "status": {"currentRevision": "b", "updateRevision": "b"}},
            False,
            id="a StatefulSet of one revision",
        ),
        pytest.param(
            {"kind": "Rollout", "metadata": {"generation": 5}, "status": {"observedGeneration": "4"}},
            True,
            id="another kind that counts in text",
        ),
        pytest.param({"kind": "Fleet", "metadata": {"generation": 5}}, False, id="another kind that says nothing"),
    ],
)
def test_what_is_a_rollout(item: dict[str, Any], rolling: bool) -> None:
    assert is_rolling_out(item) is rolling


def stateful(revisions: tuple[str, str], **strategy: Any) -> dict[str, Any]:
    status = {"currentRevision": revisions[0], "updateRevision": revisions[1], "updatedReplicas": 1}
    spec = {"replicas": 3, "updateStrategy": strategy, "template": {"spec": {"image": "new"}}}
    return {"kind": "StatefulSet", "metadata": {}, "spec": spec, "status": status}


def argo(*, stable: str = "a", current: str = "b", **more: Any) -> dict[str, Any]:
    status = {"stableRS": stable, "currentPodHash": current, **more.pop("status", {})}
    return {"kind": "Rollout", "metadata": {}, "spec": {"workloadRef": {"name": "api"}, **more}, "status": status}


def paused(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "spec": {**item["spec"], "paused": True}}


STUCK = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
AT_WORK = [{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}]
REFUSED = [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}]


@pytest.mark.parametrize(
    ("item", "rolling"),
    [
        pytest.param(paused(deployment(observedGeneration=3)), False, id="a Deployment that is paused"),
        pytest.param(paused(deployment(observedGeneration=2)), True, id="paused, and that is unseen"),
        pytest.param(deployment(observedGeneration=3, updatedReplicas=1, conditions=STUCK), False, id="stuck for long"),
        pytest.param(deployment(observedGeneration=3, updatedReplicas=1, conditions=AT_WORK), True, id="at work"),
        pytest.param(deployment(observedGeneration=3, updatedReplicas=1, conditions=REFUSED), False, id="a full quota"),
        pytest.param(
            deployment() | {"status": {"updatedReplicas": 1, "replicas": 2, "conditions": REFUSED}},
            True,
            id="a full quota, with old pods left",
        ),
        pytest.param(stateful(("a", "b"), type="OnDelete"), False, id="a StatefulSet that waits for a hand"),
        pytest.param(stateful(("a", "b"), type="RollingUpdate"), True, id="a StatefulSet that rolls"),
        pytest.param(argo(), True, id="an Argo Rollout at work"),
        pytest.param(argo(status={"phase": "Paused"}), False, id="an Argo Rollout that waits for somebody's word"),
        pytest.param(argo(paused=True), False, id="an Argo Rollout that somebody paused"),
        pytest.param(argo(stable="b"), False, id="an Argo Rollout that is done"),
    ],
)
def test_a_rollout_that_stands_is_none(item: dict[str, Any], rolling: bool) -> None:
    assert is_rolling_out(item) is rolling


def labelled(*revisions: str, label: str = "controller-revision-hash") -> list[dict[str, Any]]:
    return [{"metadata": {"labels": {label: revision} if revision else {}}} for revision in revisions]


def test_pods_that_nobody_replaces_are_told_apart_by_their_own_revisions() -> None:
    before = stateful(("a", "a"), type="OnDelete")
    after = {**before, "spec": {**before["spec"], "template": {"spec": {"image": "newer"}}}}
    pods, one_replaced, all_replaced = labelled("a", "a", "a"), labelled("a", "b", "a"), labelled("b", "b", "b")

    digests = [template_digest(after, each) for each in (pods, one_replaced, all_replaced)]
    assert template_digest(before, pods) == digests[0], "no pod has changed yet"
    assert len(set(digests)) == 3
    assert template_digest(after, labelled("a", "a")) == digests[0], "an autoscaler changes nothing"
    assert template_digest(after, labelled("", "")) == template_digest(after), "nobody says"
    scaled = [template_digest(after, labelled("b", "b", *"a" * old)) for old in (6, 7, 8)]
    assert len(set(scaled)) == 1, "nor between two templates"


def test_a_target_without_a_template_is_told_by_its_pods() -> None:
    hashes = {"label": "rollouts-pod-template-hash"}
    one, other = (template_digest(argo(stable="b"), labelled(name, name, **hashes)) for name in ("a", "b"))
    assert "" != one != other != ""
    assert template_digest({"kind": "Fleet", "spec": {}}, labelled("")) == ""


def test_a_deployment_at_work_is_told_by_its_template() -> None:
    item = {**deployment(observedGeneration=3), "spec": {"template": {"spec": {}}}}
    assert template_digest(item, labelled("a", "b", label="pod-template-hash")) == template_digest(item)


def test_old_pods_that_are_left_are_a_rollout() -> None:
    item = deployment(observedGeneration=3, updatedReplicas=2)
    item["status"]["replicas"] = 3
    assert is_rolling_out(item)


def test_a_template_is_told_from_another_whatever_the_order_of_its_fields() -> None:
    one = {"spec": {"template": {"metadata": {}, "spec": {"nodeName": "a"}}}}
    same = {"spec": {"template": {"spec": {"nodeName": "a"}, "metadata": {}}}}
    other = {"spec": {"template": {"metadata": {}, "spec": {"nodeName": "b"}}}}
    assert template_digest(one) == template_digest(same) != template_digest(other)
    assert template_digest({"spec": {"replicas": 2}}) == ""


def test_a_policy_is_read_with_what_a_write_is_compared_with() -> None:
    policy = read_policy(
        {
            "metadata": {
                "namespace": "shop", "name": "api", "uid": "u", "generation": 4, "resourceVersion": "77",
                "creationTimestamp": "2026-01-02T03:04:05Z", "deletionTimestamp": "2026-01-03T00:00:00Z",
            },
            "spec": {"mode": "Auto"},
        }
    )  # fmt: skip
    assert str(policy.key) == "shop/api"
    assert (policy.generation, policy.resource_version, policy.deleting) == (4, "77", True)
    assert policy.created.isoformat() == "2026-01-02T03:04:05+00:00"
    assert policy.status == {}
