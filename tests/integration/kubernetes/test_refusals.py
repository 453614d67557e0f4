"""Whatever keeps a policy from being tuned is in its Ready condition and an Event, within one pass and for good."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from envtest import EnvtestServer, RefusedError
from kubernetes_objects import connect, create_deployment, platform_on
from paceline_operator.cluster.api_server import ApiServer
from paceline_operator.core.measure.pods import PodState
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.ports import PlatformUnavailable, PolicyKey
from paceline_operator.settings import OperatorSettings

pytestmark = pytest.mark.apiserver
POLICIES = "/apis/paceline.dev/v1alpha1/namespaces/{}/tuningpolicies"


class NoPods:
    """Telemetry of a target without pods."""

    async def scrape(self, pods: object) -> Mapping[str, PodState]:
        return {}

    async def acks(self, pods: object) -> Mapping[str, int]:
        return {}


async def one_pass(api: ApiServer, namespace: str) -> None:
    settings = OperatorSettings(ack_wait_seconds=0.01, ack_poll_seconds=0.01)
    reconciler = Reconciler(platform_on(api), NoPods(), now=lambda: datetime.now(UTC), settings=settings)
    await reconciler.reconcile(PolicyKey(namespace, "api"))


def create_policy(server: EnvtestServer, namespace: str, **spec: Any) -> None:
    body = {"apiVersion": "paceline.dev/v1alpha1", "kind": "TuningPolicy", "metadata": {"name": "api"}}
    pinned = {"mode": "Auto", "targetRef": {"name": "api"}, "workers": {"value": 2}}
    server.create(POLICIES.format(namespace), {**body, "spec": {**pinned, **spec}})


def ready(server: EnvtestServer, namespace: str) -> tuple[str, str, str]:
    status = server.get(f"{POLICIES.format(namespace)}/api")["status"]
    (condition,) = [each for each in status["conditions"] if each["type"] == "Ready"]
    return condition["status"], condition["reason"], condition["message"]


def events(server: EnvtestServer, namespace: str) -> list[str]:
    found = server.get(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")["items"]
    return [event["reason"] for event in found if event["type"] == "Warning"]


def deny_config_maps(server: EnvtestServer, namespace: str) -> None:
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}]
    chosen = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": rules, "namespaceSelector": chosen},
        "validations": [{"expression": "object.metadata.name.startsWith('allowed')", "message": "house rules"}],
    }
    server.create(policies, {"metadata": {"name": namespace}, "spec": spec})
    binding = {"policyName": namespace, "validationActions": ["Deny"]}
    server.create(
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
        {"metadata": {"name": namespace}, "spec": binding},
    )


def break_webhook(server: EnvtestServer, namespace: str) -> None:
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]
    webhook = {
        "name": "gone.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": 1,
        "rules": rules,
        "clientConfig": {"url": "https://127.0.0.1:1/validate"},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
    }
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    server.create(path, {"metadata": {"name": namespace}, "webhooks": [webhook]})


def fill_quota(server: EnvtestServer, namespace: str) -> None:
    hard = {"count/configmaps": "0"}
    quotas = f"/api/v1/namespaces/{namespace}/resourcequotas"
    server.create(quotas, {"metadata": {"name": "tight"}, "spec": {"hard": hard}})
    server.merge(f"{quotas}/tight/status", {"status": {"hard": hard, "used": {"count/configmaps": "0"}}})


def foreign(server: EnvtestServer, namespace: str) -> None:
    body = {"metadata": {"name": "api-tuning"}, "data": {"tuning.json": "{}"}}
    server.create(f"/api/v1/namespaces/{namespace}/configmaps", body)


def immutable(server: EnvtestServer, namespace: str) -> None:
    metadata = {"name": "api-tuning", "labels": {"app.kubernetes.io/managed-by": "paceline"}}
    body = {"metadata": metadata, "immutable": True, "data": {"tuning.json": "{}"}}
    server.create(f"/api/v1/namespaces/{namespace}/configmaps", body)


@pytest.mark.parametrize(
    ("arrange", "spec", "reason", "message"),
    [
        pytest.param(
            None, {"targetRef": {"kind": "ReplicaSet", "name": "api-1"}}, "Forbidden", "replicasets", id="403"
        ),
        pytest.param(None, {"targetRef": {"kind": "Nope", "name": "api"}}, "TargetNotFound", "no kind Nope", id="kind"),
        pytest.param(None, {"targetRef": {"name": "../x"}}, "TargetNotFound", "no Deployment ../x", id="hopeless name"),
        pytest.param(foreign, {}, "ForeignConfigMap", "rename or delete it", id="a foreign ConfigMap"),
        pytest.param(immutable, {}, "RequestRefused", "immutable", id="422"),
        pytest.param(deny_config_maps, {}, "AdmissionDenied", "house rules", id="an admission policy"),
        pytest.param(break_webhook, {}, "AdmissionDenied", "failed calling webhook", id="a webhook that is down"),
        pytest.param(fill_quota, {}, "QuotaExceeded", "exceeded quota: tight", id="a quota"),
    ],
)
async def test_a_lasting_refusal_is_said_within_one_pass(
    server: EnvtestServer, namespace: str, api: ApiServer, arrange: Any, spec: dict[str, Any], reason: str, message: str
) -> None:
    create_deployment(server, namespace)
    create_policy(server, namespace, **spec)
    if arrange:
        arrange(server, namespace)
        if arrange in (deny_config_maps, break_webhook):
            await _in_force(server, namespace)

    await one_pass(api, namespace)

    status, found, told = ready(server, namespace)
    assert (status, found) == ("False", reason)
    assert message in told
    assert events(server, namespace) == [reason]
    await one_pass(api, namespace)
    assert events(server, namespace) == [reason]


async def _in_force(server: EnvtestServer, namespace: str) -> None:
    """Admission rules take a moment."""
    for number in range(200):
        try:
            body = {"metadata": {"name": f"probe-{number}"}}
            server.create(f"/api/v1/namespaces/{namespace}/configmaps?dryRun=All", body)
        except RefusedError:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the rule never came into force")


async def test_a_policy_that_was_fine_does_not_stay_so_and_a_foreign_document_is_left_alone(
    server: EnvtestServer, namespace: str, api: ApiServer
) -> None:
    create_deployment(server, namespace)
    create_policy(server, namespace)
    await one_pass(api, namespace)
    assert ready(server, namespace)[0] == "True"
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    server.delete(f"{path}/api-tuning")
    foreign(server, namespace)

    await one_pass(api, namespace)

    assert ready(server, namespace)[:2] == ("False", "ForeignConfigMap")
    assert server.get(f"{path}/api-tuning")["data"] == {"tuning.json": "{}"}
    server.delete(f"{path}/api-tuning")
    await one_pass(api, namespace)
    assert ready(server, namespace)[:2] == ("True", "Accepted")
    assert events(server, namespace) == ["ForeignConfigMap"]


async def test_a_policy_that_nobody_may_read_is_said_in_the_log_at_least(server: EnvtestServer, namespace: str) -> None:
    create_policy(server, namespace)
    stranger = await connect(server, "stranger")
    try:
        with pytest.raises(PlatformUnavailable, match='cannot get resource "tuningpolicies"'):
            await one_pass(stranger, namespace)
    finally:
        await stranger.close()
