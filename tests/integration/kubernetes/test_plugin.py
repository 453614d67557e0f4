"""`kubectl paceline` on a real API server, as whoever the kubeconfig says: asked, switched, exported, inspected."""

import subprocess
import sys

import pytest
import yaml
from envtest import EnvtestServer
from foreign import app_of, foreign
from policy_namespace import PolicyNamespace

pytestmark = pytest.mark.apiserver

STATUS = {
    "conditions": [
        {
            "type": "Ready", "status": "True", "reason": "Accepted", "message": "mode Auto",
            "lastTransitionTime": "2026-01-31T12:00:00Z",
        }
    ],
    "tuning": {"generation": 17, "values": {"workers": 3}},
    "pods": {"total": 2, "applied": 2},
}  # fmt: skip


class Person(PolicyNamespace):
    """Somebody with a kubeconfig, in a namespace with a policy that is tuned."""

    def __init__(self, server: EnvtestServer, name: str, user: str = "admin") -> None:
        super().__init__(server, name)
        self.kubeconfig = server.kubeconfig(user)

    def types(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from paceline_operator.plugin import main; main()", *arguments],
            input=text,
            env={"KUBECONFIG": str(self.kubeconfig)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def reads(self, *arguments: str) -> str:
        done = self.types(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def annotations(self) -> dict[str, str]:
        policy = self.policy()
        assert policy is not None
        return {name: value for name, value in policy["metadata"].get("annotations", {}).items() if "paceline" in name}


@pytest.fixture
def person(server: EnvtestServer, namespace: str) -> Person:
    made = Person(server, namespace)
    made.create_target()
    made.apply_policy((1, 8))
    server.merge(f"/apis/paceline.dev/v1alpha1/namespaces/{namespace}/tuningpolicies/api/status", {"status": STATUS})
    return made


def test_switches_are_set_and_taken_away(person: Person) -> None:
    assert "api: paused; pods keep what they run" in person.reads("pause", "api", "-n", person.name)
    assert person.annotations() == {"paceline.dev/paused": "true"}

    assert "goes back to generation 17" in person.reads("rollback", f"{person.name}/api", "17")
    assert person.annotations() == {"paceline.dev/paused": "true", "paceline.dev/rollback": "17"}

    person.annotate(namespace=True, paused="true")
    assert f"namespace {person.name} still has paceline.dev/paused=true" in person.reads(
        "resume", "api", "-n", person.name
    )
    assert person.annotations() == {}


def test_a_generation_that_is_not_known_is_refused_before_anything_is_written(person: Person) -> None:
    done = person.types("rollback", "api", "3", "-n", person.name)

    assert done.returncode == 2
    assert "the values of generation 3 are not known, only those of 17" in done.stderr
    assert person.annotations() == {}


def test_the_fleet_is_a_table_where_nobody_watches(person: Person) -> None:
    head, line = person.reads("top", "-n", person.name).splitlines()
    assert head.startswith("NAMESPACE")
    assert line.split()[:4] == [person.name, "api", "Deployment/api", "Auto"]
    assert person.name in person.reads("top", "--all-namespaces")
    assert "no policies" in person.reads("top", "-n", "default")


def test_what_is_exported_can_be_applied(person: Person, server: EnvtestServer) -> None:
    manifest = yaml.safe_load(person.reads("export", f"{person.name}/api"))
    path = f"/apis/paceline.dev/v1alpha1/namespaces/{person.name}/tuningpolicies/api"

    server.apply(path, manifest)

    assert server.get(path)["spec"]["workers"] == {"value": 3}
    assert person.reads("export", f"{person.name}/api", "--format", "env") == "PACELINE_WORKERS=3\n"


def test_a_policy_that_is_not_there_is_named(person: Person) -> None:
    for arguments in (("pause", "gone"), ("export", "gone"), ("why", "gone"), ("rollback", "gone", "1")):
        done = person.types(*arguments, "-n", person.name)
        assert done.returncode == 2
        assert f"there is no TuningPolicy {person.name}/gone" in done.stderr


def test_nobody_gets_more_rights_than_kubectl_gives(person: Person, server: EnvtestServer) -> None:
    stranger = Person(server, person.name, user="stranger")
    for arguments in (("top",), ("pause", "api"), ("inspect", "deploy/api")):
        done = stranger.types(*arguments, "-n", person.name)
        assert (done.returncode, done.stdout) == (1, ""), arguments
        assert "forbidden" in done.stderr.lower()
        assert len(done.stderr.splitlines()) == 1


def test_a_workload_is_inspected_patched_and_silent(person: Person, server: EnvtestServer) -> None:
    path = f"/apis/apps/v1/namespaces/{person.name}/deployments"
    server.create(path, {**foreign(), "metadata": {"name": "shop"}})
    asked = ("inspect", "deploy/shop", "-n", person.name)

    done = person.types(*asked)
    assert done.returncode == 1
    assert done.stdout.startswith(f"Deployment shop in {person.name}, container app\n")
    patch = yaml.safe_load(person.reads(*asked, "--output", "patch"))
    manifest = yaml.safe_load(person.reads(*asked, "--output", "manifest"))
    assert "status" not in manifest
    server.request("PATCH", f"{path}/shop", patch, content_type="application/strategic-merge-patch+json")

    assert person.reads(*asked) == ""
    assert app_of(server.get(f"{path}/shop"))["readinessProbe"]["httpGet"]["port"] == "paceline"
    gone = person.types("inspect", "statefulset/shop", "-n", person.name)
    assert (gone.returncode, "has no StatefulSet shop" in gone.stderr) == (2, True)
