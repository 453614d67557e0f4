"""A release from its installation to its removal, with an operator that has no right outside its namespace."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from images import TAG
from release import CHART, ROOT, Release, example, new_release, settings_for
from testcluster import Cluster, run, until

EMAIL = "ada@example.org"
MANIFESTS = ROOT / "k8s" / "manifests"
# What the page of the manifests has in place of addresses.
ADDRESSES = {
    "USER:PASSWORD@HOST:5432/NAME": "paceline:development@paceline-postgresql:5432/paceline",
    ":PASSWORD@HOST:6379/0": ":development@paceline-valkey:6379/0",
    ":PASSWORD@SECURITY_HOST:6379/0": ":development@paceline-valkey-security:6379/0",
    "USER:PASSWORD@HOST:587": "paceline-mail:1025",
}
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


@pytest.fixture
def databases(cluster: Cluster) -> Iterator[Release]:
    """A namespace with the demo's databases and mail server, and nothing else."""
    made = new_release(cluster, "plain")
    settings = [*settings_for(made.namespace), "demo.password=development", "service.jobs.enabled=true"]
    options = [word for setting in settings for word in ("--set", setting)]
    options += [f"--show-only=templates/demo/{name}.yaml" for name in ("postgresql", "valkey", "mail")]
    made.kubectl(
        "apply",
        "--filename=-",
        stdin=cluster.helm("template", "paceline", str(CHART), f"--namespace={made.namespace}", *options),
    )
    yield made
    # Not waited for: its pods take their time to drain, and nobody looks at them.
    cluster.kubectl("delete", "namespace", made.namespace, "--wait=false")


def manifest(name: str, namespace: str) -> str:
    """One of the rendered manifests, in another namespace and with this tree's image."""
    text = (MANIFESTS / name).read_text().replace("namespace: paceline", f"namespace: {namespace}")
    return text.replace("image: paceline-service:dev", f"image: paceline-service:{TAG}")


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


def helm_test(release: Release) -> None:
    """Fails with its pod's log where it fails; after a success the pod is gone."""
    release.cluster.helm("test", release.name, "--namespace", release.namespace, "--timeout=3m")


def leave_a_trial_half_way(release: Release) -> None:
    """As one does that was killed."""
    note = json.dumps({"pool": "redis", "before": 10, "hadDocument": False})
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "paceline-service"}
    spec = {"targetRef": target, "mode": "Auto", "pools": [{"name": "redis", "value": 9}]}
    metadata = {"name": "paceline-trial", "annotations": {"paceline.dev/trial": note}}
    policy = {"apiVersion": "paceline.dev/v1alpha1", "kind": "TuningPolicy", "metadata": metadata, "spec": spec}
    release.cluster.apply(release.namespace, policy)
    until(lambda: [values["pools"]["redis"] for values in _values(release)] == [9], 60, "the pod runs it")


def test_install_tune_upgrade_and_remove(release: Release) -> None:
    settings = [item for item in settings_for(release.namespace) if "NAMESPACES" not in item]
    release.install(*settings, "operator.namespaced=true", "service.replicas=1", "service.jobs.enabled=true")
    assert release.namespace not in release.cluster.kubectl("get", "clusterroles", "--output=name")

    token = signed_up(release)
    mails = ("logs", "deployment/paceline-mail", "--tail=-1")
    until(lambda: f"To: {EMAIL}" in release.kubectl(*mails), 60, "the jobs have sent the welcome mail")

    started = _values(release)
    helm_test(release)
    assert release.generation() == 2, "one generation there and one back"
    assert _values(release) == started
    assert release.policy("paceline-trial") is None
    assert release.document() is None, "there was none before"
    leave_a_trial_half_way(release)
    helm_test(release)
    assert _values(release) == started
    assert (release.policy("paceline-trial"), release.document()) == (None, None)

    release.cluster.apply(release.namespace, example("pinned"))
    release.kubectl("wait", "tuningpolicy/api", "--for=condition=Converged", "--timeout=120s")
    pinned = release.generation()
    helm_test(release)
    assert release.generation() == pinned, "what somebody tunes is left alone"
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


def test_the_manifests_sign_in_and_send_mails_with_the_secrets_that_their_page_creates(databases: Release) -> None:
    creating = re.findall(
        r"^kubectl --namespace paceline create secret .*$", (MANIFESTS / "README.md").read_text(), re.M
    )
    for command in creating:
        for placeholder, address in ADDRESSES.items():
            command = command.replace(placeholder, address)
        run("bash", "-euc", command.replace("--namespace paceline", f"--namespace {databases.namespace}"))
    for name in ("service.yaml", "jobs.yaml"):
        databases.kubectl("apply", "--filename=-", stdin=manifest(name, databases.namespace))
    for name in ("service", "jobs"):
        databases.kubectl("rollout", "status", f"deployment/paceline-{name}", "--timeout=180s")

    assert whose(databases, signed_up(databases)) == EMAIL
    mails = ("logs", "deployment/paceline-mail", "--tail=-1")
    until(lambda: f"To: {EMAIL}" in databases.kubectl(*mails), 60, "the jobs have sent the welcome mail")


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ("demo.enabled=true,service.jobs.enabled=true", (False, False)),
        ("demo.enabled=true", (False, True)),
        ("service.database.existingSecret=database,service.redis.existingSecret=redis", (True, True)),
        ("service.app=shop.main:app", (False, False)),
    ],
)
def test_the_notes_say_what_signing_in_and_mails_still_need(
    cluster: Cluster, settings: str, missing: tuple[bool, bool]
) -> None:
    only = f"crds.enabled=false,operator.enabled=false,{settings}"  # those may be somebody else's in this cluster
    said = cluster.helm("install", "other", str(CHART), "--dry-run=client", "--set", only)
    notes = said.partition("NOTES:")[2]
    assert "port-forward" in notes
    assert ("service.auth.existingSecret" in notes, "service.jobs.enabled=true" in notes) == missing


def test_the_rendered_manifests_and_the_examples_pass_the_api_servers_checks(
    cluster: Cluster, release: Release
) -> None:
    crds = str(MANIFESTS / "crds.yaml")
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename", crds)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "--filename", crds)
    for file in ("operator.yaml", "service.yaml", "jobs.yaml"):
        text = manifest(file, release.namespace)
        release.kubectl("apply", "--dry-run=server", "--validate=strict", "--filename", "-", stdin=text)
    for policy in sorted((ROOT / "k8s" / "examples").glob("*.yaml")):
        release.kubectl("apply", "--dry-run=server", "--validate=strict", "--filename", str(policy))
