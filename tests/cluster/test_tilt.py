"""The development cluster: `tilt ci` to success, every button pressed once, an edit seen in the running pods."""

import json
import re
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from release import Release
from testcluster import Cluster, until
from tilt import Tilt, copy_of_the_tree

MANUAL = 2  # of Tilt's trigger modes


@pytest.fixture(scope="module")
def tilt(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tilt]:
    namespace = f"paceline-tilt-{uuid.uuid4().hex[:6]}"
    made = Tilt(copy_of_the_tree(tmp_path_factory.mktemp("tilt")), namespace)
    cluster.create_namespace(namespace)
    yield made
    made.down()
    cluster.delete_namespace(namespace)


@pytest.fixture(scope="module")
def running(tilt: Tilt) -> Iterator[Tilt]:
    with tilt.up():
        yield tilt


@pytest.fixture(scope="module")
def release(cluster: Cluster, tilt: Tilt) -> Release:
    return Release(cluster, tilt.namespace)


def test_tilt_ci_ends_with_a_policy_in_force_and_its_traces_found(tilt: Tilt) -> None:
    said = tilt.ci()

    assert "generation 1 is in force in all pods" in said
    assert "found in Jaeger" in said
    assert "SUCCESS. All workloads are healthy." in said


def test_every_object_is_grouped_and_labelled(running: Tilt) -> None:
    resources = json.loads(running.run("get", "uiresources", "--port", str(running.port), "--output", "json"))["items"]
    unlabelled = {one["metadata"]["name"] for one in resources if not one["metadata"].get("labels")}

    assert unlabelled == {"(Tiltfile)"}, "nothing is left over as `uncategorized`"
    links = [link["url"] for one in resources for link in one["status"].get("endpointLinks") or ()]
    for page in ("/docs", "/metrics", "/state", "/search?service=paceline-service"):
        assert any(link.endswith(page) for link in links), page


def test_every_button_does_what_it_says(running: Tilt, release: Release) -> None:
    def policy() -> dict[str, Any]:
        found = release.policy()
        assert found is not None
        return found

    def ready_says(reason: str) -> None:
        until(lambda: (release.condition("Ready") or ("", ""))[1] == reason, 60, f"Ready says {reason}")

    pressed = {f"apply-{name}" for name in ("minimal", "full", "auto", "pinned")}
    for button in sorted(pressed - {"apply-auto"}):
        running.press(button)
        assert policy()["metadata"]["annotations"], button
    until(lambda: release.condition("Converged") == ("True", "AllPodsApplied"), 60, "the pinned values are in force")
    assert "generation" in running.press("why")
    assert "/trace/" in running.press("open-last-trace")

    running.press("apply-auto")
    running.press("patch-objective")
    assert policy()["spec"]["objective"]["p95"] == "30ms"

    running.press("pause-tuning")
    ready_says("Paused")
    running.press("resume-tuning")
    ready_says("Accepted")
    running.press("roll-back")
    ready_says("RolledBack")
    running.press("end-roll-back")
    ready_says("Accepted")

    # A busy machine cannot keep the rate, which the button calls a failure.
    said = running.press("load-200", forgiven="left in time")
    assert re.search(r"failed +0\b", said), said
    for button, seconds in {"slow-database": "0.1", "fast-database": "0"}.items():
        running.press(button)
        distance = "{.spec.template.spec.containers[0].env[?(@.name=='API_SIMULATED_DISTANCE_SECONDS')].value}"
        assert release.kubectl("get", "deployment/paceline-service", f"--output=jsonpath={distance}") == seconds

    pressed |= {"why", "open-last-trace", "patch-objective", "pause-tuning", "resume-tuning"}
    pressed |= {"roll-back", "end-roll-back", "load-200", "slow-database", "fast-database"}
    buttons = {name for name, one in running.resources().items() if one.get("triggerMode") == MANUAL}
    assert buttons == pressed, "each button once"


def test_an_edit_is_in_the_running_pods_without_a_new_image(running: Tilt, release: Release) -> None:
    release.kubectl("rollout", "status", "deployment/paceline-service", "--timeout=90s")
    pods = {pod["metadata"]["uid"] for pod in release.pods()}
    page = running.tree / "service" / "paceline_api" / "routes" / "index.py"
    page.write_text(page.read_text().replace("<h1>Paceline reference API</h1>", "<h1>Edited</h1>"))

    def shown() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{running.ports['api']}/", timeout=5) as response:
                return b"<h1>Edited</h1>" in response.read()
        except OSError:
            return False

    until(shown, 60, "the edited page")
    assert {pod["metadata"]["uid"] for pod in release.pods()} == pods


def test_an_edit_of_a_mail_is_in_the_next_one_that_is_printed(running: Tilt, release: Release) -> None:
    until(lambda: running.healthy("jobs") and running.healthy("mail"), 90, "the jobs and the mail server are up")
    release.kubectl("rollout", "status", "deployment/paceline-jobs", "--timeout=90s")

    def pods() -> set[str]:
        return {pod["metadata"]["uid"] for component in ("jobs", "mail") for pod in release.pods(component)}

    def process() -> str:
        return release.kubectl("exec", "deployment/paceline-jobs", "--", "cat", "/tmp/live/pid")

    def signed_up() -> bool:
        account = json.dumps({"email": f"{uuid.uuid4().hex}@example.org", "password": "correct horse"}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{running.ports['api']}/signup", account, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return bool(response.status == 201)
        except OSError:  # the API starts again, too
            return False

    before, first = pods(), process()
    module = running.tree / "service" / "paceline_api" / "mail.py"
    module.write_text(module.read_text().replace('"Welcome"', '"Edited"'))

    until(lambda: process() != first, 60, "the jobs have started again")
    until(signed_up, 60, "an account")
    printed = ("logs", "deployment/paceline-mail", "--tail=-1")
    until(lambda: "Subject: Edited" in release.kubectl(*printed), 60, "the edited mail")
    until(lambda: running.healthy("jobs") and running.healthy("mail"), 30, "Tilt is content with both")
    assert pods() == before
