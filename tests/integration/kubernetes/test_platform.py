"""The Kubernetes platform against a real API server, with no other rights than the chart gives."""

import logging
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from envtest import EnvtestServer
from kubernetes_objects import connect, create_deployment, create_pod, platform_on, template
from paceline_operator.cluster.api_server import ApiServer
from paceline_operator.cluster.kubernetes import KubernetesPlatform
from paceline_operator.ports import Conflict, PlatformUnavailable, PolicyKey, TargetNotFound, TargetRef, Workload

pytestmark = pytest.mark.apiserver

DEPLOYMENT = TargetRef("apps/v1", "Deployment", "api")


def create_policy(server: EnvtestServer, namespace: str, name: str = "api") -> None:
    server.create(
        f"/apis/paceline.dev/v1alpha1/namespaces/{namespace}/tuningpolicies",
        {
            "apiVersion": "paceline.dev/v1alpha1",
            "kind": "TuningPolicy",
            "metadata": {"name": name, "annotations": {"paceline.dev/paused": "true"}},
            "spec": {"targetRef": {"name": "api"}, "workers": {"value": 2}},
        },
    )


async def target(server: EnvtestServer, namespace: str, platform: KubernetesPlatform) -> Workload:
    create_deployment(server, namespace)
    return await platform.workload(namespace, DEPLOYMENT)


async def test_rivals_are_the_others_that_the_watch_has_seen_and_that_are_still_there(
    server: EnvtestServer, namespace: str, api: ApiServer
) -> None:
    create_policy(server, namespace)
    create_policy(server, namespace, "second")
    seen = {PolicyKey(namespace, name) for name in ("api", "second", "gone")}
    found = await platform_on(api, *seen).rivals(PolicyKey(namespace, "api"), DEPLOYMENT)
    assert [policy.key for policy in found] == [PolicyKey(namespace, "second")]
    assert found[0].spec["targetRef"]["name"] == "api"


async def test_a_policy_is_read_with_its_switches(
    server: EnvtestServer, namespace: str, platform: KubernetesPlatform
) -> None:
    create_policy(server, namespace)
    policy = await platform.policy(PolicyKey(namespace, "api"))
    assert policy is not None
    assert (policy.generation, policy.status, policy.deleting) == (1, {}, False)
    assert policy.annotations == {"paceline.dev/paused": "true"}
    assert policy.spec["mode"] == "Recommend"


async def test_a_policy_that_is_gone_is_none(namespace: str, platform: KubernetesPlatform) -> None:
    assert await platform.policy(PolicyKey(namespace, "api")) is None


async def test_a_deployment_is_read_with_its_own_pods(
    server: EnvtestServer, namespace: str, platform: KubernetesPlatform
) -> None:
    create_deployment(server, namespace)
    uid = create_pod(server, namespace, "api-1", "10.9.0.1")
    create_pod(server, namespace, "stranger-1", "10.9.0.2", app="stranger")
    workload = await platform.workload(namespace, DEPLOYMENT)
    assert (workload.replicas, workload.rolling_out, workload.document_name) == (2, True, "api-tuning")
    (pod,) = workload.pods
    assert (pod.name, pod.uid, pod.state_url) == ("api-1", uid, "http://10.9.0.1:9090/state")
    assert (pod.ready, pod.terminating) == (True, False)
    assert [(end.container, end.restarts, end.out_of_memory) for end in pod.ended] == [("api", 3, True)]


async def test_a_rollout_ends(server: EnvtestServer, namespace: str, platform: KubernetesPlatform) -> None:
    create_deployment(server, namespace)
    status = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2}
    server.merge(f"/apis/apps/v1/namespaces/{namespace}/deployments/api/status", {"status": status})
    assert not (await platform.workload(namespace, DEPLOYMENT)).rolling_out


async def test_a_statefulset_is_a_target_too(
    server: EnvtestServer, namespace: str, platform: KubernetesPlatform
) -> None:
    labels = {"app": "api"}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template(labels), "serviceName": "api"}
    server.create(f"/apis/apps/v1/namespaces/{namespace}/statefulsets", {"metadata": {"name": "api"}, "spec": spec})
    workload = await platform.workload(namespace, TargetRef("apps/v1", "StatefulSet", "api"))
    assert (workload.kind, workload.replicas) == ("StatefulSet", 1)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        pytest.param(DEPLOYMENT, "has no Deployment api: create it or correct spec.targetRef", id="no such deployment"),
        pytest.param(TargetRef("apps/v7", "Deployment", "api"), "does not serve apps/v7", id="no such version"),
        pytest.param(TargetRef("apps/v1", "Deployement", "api"), "has no kind Deployement", id="a slip of the pen"),
        pytest.param(TargetRef("apps/v1", "DaemonSet", "api"), "no scale subresource", id="a kind without scale"),
        pytest.param(TargetRef("v1", "Service", "api"), "no scale subresource", id="a kind of the core group"),
        pytest.param(TargetRef("apps/v1", "Deployment", "../pods/x"), "no Deployment ../pods/x", id="a path as name"),
        pytest.param(TargetRef("..", "Deployment", "api"), "does not serve ..", id="a path as version"),
        pytest.param(TargetRef("apps/v1", "Deployment", ".."), "no Deployment ..", id="a parent folder as name"),
    ],
)
async def test_a_target_that_is_none(
    namespace: str, platform: KubernetesPlatform, reference: TargetRef, message: str
) -> None:
    with pytest.raises(TargetNotFound) as missing:
        await platform.workload(namespace, reference)
    assert message in str(missing.value)


async def test_a_document_is_created_replaced_and_read_back(
    server: EnvtestServer, namespace: str, platform: KubernetesPlatform
) -> None:
    workload = await target(server, namespace, platform)
    before = await platform.document(workload)
    assert (before.content, before.resource_version) == (None, None)

    await platform.write_document(workload, b'{"generation": 1}', before.resource_version)
    first = await platform.document(workload)
    assert first.content == b'{"generation": 1}'

    await platform.write_document(workload, b'{"generation": 2}', first.resource_version)
    assert (await platform.document(workload)).content == b'{"generation": 2}'

    stored = server.get(f"/api/v1/namespaces/{namespace}/configmaps/api-tuning")
    assert [owner["uid"] for owner in stored["metadata"]["ownerReferences"]] == [workload.uid]


async def test_a_stale_writer_of_a_document_gets_a_conflict_and_changes_nothing(
    server: EnvtestServer, namespace: str, platform: KubernetesPlatform
) -> None:
    workload = await target(server, namespace, platform)
    await platform.write_document(workload, b"1", None)
    stale = (await platform.document(workload)).resource_version
    await platform.write_document(workload, b"2", stale)
    with pytest.raises(Conflict):
        await platform.write_document(workload, b"3", stale)
    with pytest.raises(Conflict):
        await platform.write_document(workload, b"3", None)
    assert (await platform.document(workload)).content == b"2"


async def test_a_document_that_was_deleted_meanwhile_is_a_conflict(
    server: EnvtestServer, namespace: str, platform: KubernetesPlatform
) -> None:
    workload = await target(server, namespace, platform)
    await platform.write_document(workload, b"1", None)
    read = await platform.document(workload)
    server.delete(f"/api/v1/namespaces/{namespace}/configmaps/api-tuning")
    with pytest.raises(Conflict, match="gone"):
        await platform.write_document(workload, b"2", read.resource_version)


async def test_a_foreign_config_map_of_that_name_is_left_alone(
    server: EnvtestServer, namespace: str, platform: KubernetesPlatform
) -> None:
    workload = await target(server, namespace, platform)
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    server.create(path, {"metadata": {"name": "api-tuning"}, "data": {"guitar": "EADGBE"}})
    with pytest.raises(PlatformUnavailable, match="rename or delete it"):
        await platform.document(workload)


async def test_a_nudge_annotates_the_pods_and_leaves_their_containers(
    server: EnvtestServer, namespace: str, platform: KubernetesPlatform
) -> None:
    create_deployment(server, namespace)
    for number in range(3):
        create_pod(server, namespace, f"api-{number}", f"10.9.0.{number}")
    before = server.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    await platform.nudge(await platform.workload(namespace, DEPLOYMENT), 17)
    after = server.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    assert [pod["metadata"]["annotations"] for pod in after] == [{"paceline.dev/tuning-generation": "17"}] * 3
    assert [(pod["spec"], pod["status"]) for pod in after] == [(pod["spec"], pod["status"]) for pod in before]


async def test_a_nudge_spares_a_new_pod_of_the_same_name(
    server: EnvtestServer, namespace: str, platform: KubernetesPlatform
) -> None:
    create_deployment(server, namespace)
    create_pod(server, namespace, "api-0", "10.9.0.1")
    workload = await platform.workload(namespace, DEPLOYMENT)
    server.delete(f"/api/v1/namespaces/{namespace}/pods/api-0?gracePeriodSeconds=0")
    create_pod(server, namespace, "api-0", "10.9.0.2")
    await platform.nudge(workload, 17)
    assert "annotations" not in server.get(f"/api/v1/namespaces/{namespace}/pods/api-0")["metadata"]


async def test_a_nudge_that_is_switched_off_touches_nothing(
    server: EnvtestServer, namespace: str, api: ApiServer
) -> None:
    create_deployment(server, namespace)
    create_pod(server, namespace, "api-0", "10.9.0.1")
    quiet = platform_on(api, nudging=False)
    await quiet.nudge(await quiet.workload(namespace, DEPLOYMENT), 17)
    assert "annotations" not in server.get(f"/api/v1/namespaces/{namespace}/pods/api-0")["metadata"]


async def test_the_operator_cannot_change_a_pod_itself(server: EnvtestServer, namespace: str, api: ApiServer) -> None:
    create_pod(server, namespace, "api-0", "10.9.0.1")
    image = {"spec": {"containers": [{"name": "api", "image": "evil:1"}]}}
    with pytest.raises(PlatformUnavailable, match='cannot patch resource "pods"'):
        await api.merge(f"/api/v1/namespaces/{namespace}/pods/api-0", image)


async def test_a_status_is_replaced_and_a_stale_writer_gets_a_conflict(
    server: EnvtestServer, namespace: str, platform: KubernetesPlatform
) -> None:
    create_policy(server, namespace)
    key = PolicyKey(namespace, "api")
    read = await platform.policy(key)
    assert read is not None
    await platform.write_status(read, {"observedGeneration": 1, "pods": {"total": 2, "applied": 1}})
    with pytest.raises(Conflict):
        await platform.write_status(read, {"observedGeneration": 9})
    again = await platform.policy(key)
    assert again is not None
    await platform.write_status(again, {"observedGeneration": 1})
    final = await platform.policy(key)
    assert final is not None
    assert (final.status, final.generation) == ({"observedGeneration": 1}, 1)


async def test_a_status_for_a_policy_that_went_or_came_back_is_a_conflict(
    server: EnvtestServer, namespace: str, platform: KubernetesPlatform
) -> None:
    create_policy(server, namespace)
    read = await platform.policy(PolicyKey(namespace, "api"))
    assert read is not None
    server.delete(f"/apis/paceline.dev/v1alpha1/namespaces/{namespace}/tuningpolicies/api")
    with pytest.raises(Conflict, match="gone"):
        await platform.write_status(read, {})
    create_policy(server, namespace)
    with pytest.raises(Conflict):
        await platform.write_status(read, {})


async def test_a_status_that_breaks_the_schema_is_refused_with_the_field(
    server: EnvtestServer, namespace: str, platform: KubernetesPlatform
) -> None:
    create_policy(server, namespace)
    read = await platform.policy(PolicyKey(namespace, "api"))
    assert read is not None
    with pytest.raises(PlatformUnavailable, match=r"422.*status\.pods\.total"):
        await platform.write_status(read, {"pods": {"total": "two"}})


async def test_an_event_is_recorded_about_the_policy(
    server: EnvtestServer, namespace: str, platform: KubernetesPlatform
) -> None:
    create_policy(server, namespace)
    read = await platform.policy(PolicyKey(namespace, "api"))
    assert read is not None
    await platform.record_event(read, "LoopLagHigh", "workers 1 → 4" * 200, warning=True)
    (event,) = server.get(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")["items"]
    assert (event["reason"], event["type"], event["regarding"]["name"]) == ("LoopLagHigh", "Warning", "api")


@pytest_asyncio.fixture
async def stranger(server: EnvtestServer) -> AsyncIterator[KubernetesPlatform]:
    """Somebody without any right."""
    connected = await connect(server, "stranger")
    yield platform_on(connected)
    await connected.close()


async def test_a_missing_right_is_named(server: EnvtestServer, namespace: str, stranger: KubernetesPlatform) -> None:
    create_deployment(server, namespace)
    with pytest.raises(PlatformUnavailable, match=r'cannot get resource "tuningpolicies".*add this right'):
        await stranger.policy(PolicyKey(namespace, "api"))
    with pytest.raises(PlatformUnavailable, match=r'cannot get resource "deployments.*add this right'):
        await stranger.workload(namespace, DEPLOYMENT)


async def test_what_is_best_effort_only_logs(
    server: EnvtestServer,
    namespace: str,
    platform: KubernetesPlatform,
    stranger: KubernetesPlatform,
    caplog: pytest.LogCaptureFixture,
) -> None:
    create_deployment(server, namespace)
    create_pod(server, namespace, "api-0", "10.9.0.1")
    create_policy(server, namespace)
    read = await platform.policy(PolicyKey(namespace, "api"))
    assert read is not None
    with caplog.at_level(logging.WARNING):
        await stranger.nudge(await platform.workload(namespace, DEPLOYMENT), 17)
        await stranger.record_event(read, "Probe", "hello")
    assert "1 pods of" in caplog.text
    assert "patch resource" in caplog.text
    assert "event Probe about" in caplog.text
