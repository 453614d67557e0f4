"""Pause, roll back and resume with a real API server and the chart's rights; the operator is killed in every state."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from envtest import EnvtestServer
from operator_process import COMMAND, OperatorUnderTest, until
from policy_namespace import PolicyNamespace

pytestmark = pytest.mark.apiserver


class Home(PolicyNamespace):
    """A namespace, and operators that come and go."""

    def __init__(self, server: EnvtestServer, namespace: str, folder: Path) -> None:
        super().__init__(server, namespace)
        self.kubeconfig, self._folder = server.kubeconfig("operator"), folder

    @contextmanager
    def operator(self) -> Iterator[None]:
        """Killed at the end, as a node that dies would."""
        with OperatorUnderTest(self.kubeconfig, self._folder, self.name) as running:
            yield
            running.process.kill()

    @property
    def generation(self) -> int:
        return int(self.document()["generation"])


@pytest.fixture
def home(server: EnvtestServer, namespace: str, tmp_path: Path) -> Home:
    """Generation 1 ran three workers, generation 2 five; between one and eight are allowed now."""
    made = Home(server, namespace, tmp_path)
    made.create_target()
    with made.operator():
        for workers in (3, 5):
            made.apply_policy(workers)
            until(lambda wanted=workers: made.workers() == wanted, "the document")
        until(lambda: made.known_generations() == [1, 2], "both generations in the status")
        made.apply_policy((1, 8))
    return made


def test_a_rollback_is_made_once_held_across_restarts_and_ended(home: Home) -> None:
    home.annotate(rollback="1")
    with home.operator():
        until(lambda: home.ready() == ("True", "RolledBack"), "the rollback")
        assert (home.generation, home.workers()) == (3, 3)
        until(lambda: "RolledBack" in [event["reason"] for event in home.events()], "an Event")

    with home.operator():
        home.apply_policy((2, 8))  # a new spec, so that the new process is seen to have looked
        until(lambda: home.observed_generation() == home.spec_generation(), "a pass of the new process")
        assert (home.generation, home.workers()) == (3, 3)

        home.annotate(rollback=None)
        until(lambda: home.ready() == ("True", "Accepted"), "the end of the rollback")
    assert (home.generation, home.workers()) == (3, 3), "what was held stays until there is a reason to change it"


@pytest.mark.parametrize("namespace_wide", [False, True], ids=["on-the-policy", "on-the-namespace"])
def test_a_pause_outlives_the_operator_and_its_end_is_noticed(home: Home, namespace_wide: bool) -> None:
    home.annotate(namespace=namespace_wide, paused="true")
    for workers in (6, 7):
        home.apply_policy(workers)
        with home.operator():
            until(lambda: home.observed_generation() == home.spec_generation(), "a pass of the new process")
            assert home.ready() == ("True", "Paused")
            assert (home.generation, home.workers()) == (2, 5)

    home.annotate(namespace=namespace_wide, paused=None)
    with home.operator():
        until(lambda: home.workers() == 7, "the pinned value")
        until(lambda: home.ready() == ("True", "Accepted"), "the condition Ready")


@pytest.mark.parametrize("paused", [None, "true"], ids=["at-work", "paused"])
def test_what_a_killed_operator_left_on_single_pods_is_taken_back(home: Home, paused: str | None) -> None:
    home.annotate(paused=paused)
    home.leave_a_trial("gone", workers=6)
    with home.operator():
        until(lambda: home.generation == 3, "the document without it")
        assert "overrides" not in home.document()
        assert home.workers() == 5
        until(lambda: home.observed_generation() == home.spec_generation(), "the status")
    assert home.generation == 3


def test_why_tells_what_was_changed(home: Home) -> None:
    response = subprocess.run(
        [COMMAND, "why", f"{home.name}/api"],
        env={**os.environ, "KUBECONFIG": str(home.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert response.returncode == 0, response.stderr
    assert "generation 2  PinnedBySpec\n  workers 3→5: the policy gives the value" in response.stdout


def test_a_rollback_to_a_generation_that_never_was_is_refused_by_name(home: Home) -> None:
    home.annotate(rollback="99")
    with home.operator():
        until(lambda: home.ready() == ("False", "InvalidSpec"), "the condition Ready")
        until(lambda: "InvalidSpec" in [event["reason"] for event in home.events()], "an Event")
        assert (home.generation, home.workers()) == (2, 5)
        home.annotate(rollback="2")
        until(lambda: home.ready() == ("True", "RolledBack"), "the corrected annotation")
    assert home.generation == 2, "what is asked for is in force already"
