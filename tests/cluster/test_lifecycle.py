"""A release from its installation to its removal, with an operator that has no right outside its namespace."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from release import ROOT, Release, example, new_release, settings_for
from testcluster import Cluster, until

EMAIL = "ada@example.org"
ASK = """
import json, urllib.request
def ask(path, body, headers={}):
    request = urllib.request.Request('http://paceline-service' + path, body and body.encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)
"""


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    made = new_release(cluster, "life")
    yield made
    cluster.delete_namespace(made.namespace)


def _values(release: Release) -> list[dict[str, Any]]:
    return [state["values"] for state in release.answers().values()]


def finalizers(release: Release) -> list[str]:
    kinds = "tuningpolicies,deployments,pods,configmaps"
    items = json.loads(release.kubectl("get", kinds, "--output=json"))["items"]
    return [name for item in items for name in item["metadata"].get("finalizers", [])]


def left(release: Release) -> list[str]:
    """Names of what is still there beside what every namespace has."""
    kinds = "deployments,replicasets,pods,services,configmaps,secrets,serviceaccounts,roles,rolebindings"
    names = release.kubectl("get", kinds, "--output=name").split()
    return [name for name in names if not name.endswith(("/default", "/kube-root-ca.crt"))]


def in_a_pod(release: Release, code: str) -> str:
    """What Python prints that asks the API through the chart's Service."""
    return release.execute(release.pods()[0]["metadata"]["name"], ASK + code).strip()


def signed_up(release: Release) -> str:
    """A token for a new account."""
    account = {"email": EMAIL, "password": "correct horse"}
    form = urlencode({"username": EMAIL, "password": account["password"]})
    in_a_pod(release, f"ask('/signup', {json.dumps(account)!r}, {{'Content-Type': 'application/json'}})")
    return in_a_pod(release, f"print(ask('/auth/token', {form!r})['access_token'])")


def whose(release: Release, token: str) -> str:
    """The account that the API takes the token for."""
    return in_a_pod(release, f"print(ask('/auth/me', None, {{'Authorization': 'Bearer {token}'}})['email'])")


def test_install_tune_upgrade_and_remove(release: Release) -> None:
    settings = [item for item in settings_for(release.namespace) if "NAMESPACES" not in item]
    release.install(*settings, "operator.namespaced=true", "service.replicas=1", "service.jobs.enabled=true")
    assert release.namespace not in release.cluster.kubectl("get", "clusterroles", "--output=name")

    token = signed_up(release)
    mails = ("logs", "deployment/paceline-mail", "--tail=-1")
    until(lambda: f"To: {EMAIL}" in release.kubectl(*mails), 60, "the jobs have sent the welcome mail")

    release.cluster.apply(release.namespace, example("pinned"))
    release.kubectl("wait", "tuningpolicy/api", "--for=condition=Converged", "--timeout=120s")
    before = {name: state["values"] for name, state in release.answers().items()}
    passwords = release.kubectl("get", "secrets", "--output=jsonpath={.items[*].data.password}")

    release.upgrade("service.podLabels.round=two")
    until(lambda: not set(before) & set(release.states()), 60, "the upgrade replaced the pods")
    # Where memory is limited, workers are added one by one.
    until(lambda: _values(release) == list(before.values()), 90, "the new pods run the old values")
    assert release.kubectl("get", "secrets", "--output=jsonpath={.items[*].data.password}") == passwords
    assert whose(release, token) == EMAIL, "the secret of tokens is kept, too"
    assert finalizers(release) == []

    release.uninstall()
    until(lambda: not left(release), 90, "nothing but the policy is left")
    assert release.policy() is not None, "the CRD and its objects stay: crds.keep"
    release.delete_policies()


def test_the_rendered_manifests_and_the_examples_pass_the_api_servers_checks(
    cluster: Cluster, release: Release
) -> None:
    crds = str(ROOT / "k8s" / "manifests" / "crds.yaml")
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename", crds)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "--filename", crds)
    for file in ("operator.yaml", "service.yaml", "jobs.yaml"):
        manifest = (
            (ROOT / "k8s" / "manifests" / file)
            .read_text()
            .replace("namespace: paceline", f"namespace: {release.namespace}")
        )
        release.kubectl("apply", "--dry-run=server", "--validate=strict", "--filename", "-", stdin=manifest)
    for policy in sorted((ROOT / "k8s" / "examples").glob("*.yaml")):
        release.kubectl("apply", "--dry-run=server", "--validate=strict", "--filename", str(policy))
