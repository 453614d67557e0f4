"""Two operators that see one namespace: one works, the other says so and writes nothing until the first has gone."""

from pathlib import Path

import pytest
from envtest import EnvtestServer
from operator_process import OperatorUnderTest, until
from policy_namespace import PolicyNamespace

pytestmark = [pytest.mark.apiserver, pytest.mark.invariant]


def test_the_second_stands_by_and_takes_over(server: EnvtestServer, namespace: str, tmp_path: Path) -> None:
    home = PolicyNamespace(server, namespace)
    config = server.kubeconfig("operator")
    home.create_target()
    with OperatorUnderTest(config, tmp_path, home.name) as first:
        home.apply_policy(workers=3)
        until(lambda: home.workers() == 3, "the first operator's document")
        with OperatorUnderTest(config, tmp_path, home.name) as second:
            until(lambda: "OperatorConflict" in [event["reason"] for event in home.events()], "an Event")
            assert "stands by and writes nothing" in second.log
            before = home.policy()
            home.apply_policy(workers=4)
            until(lambda: home.workers() == 4, "the first operator's next document")
            assert home.document()["generation"] == 2
            assert before is not None
            assert first.terminate() == 0
            home.apply_policy(workers=5)
            until(lambda: home.workers() == 5, "the second operator's document")
            assert home.document()["generation"] == 3


def test_one_that_was_killed_is_followed_at_once_by_the_next_on_its_machine(
    server: EnvtestServer, namespace: str, tmp_path: Path
) -> None:
    home = PolicyNamespace(server, namespace)
    home.create_target()
    home.apply_policy(workers=3)
    with OperatorUnderTest(server.kubeconfig("operator"), tmp_path, home.name) as first:
        until(lambda: home.workers() == 3, "the document")
        first.process.kill()
        first.process.wait(10)
    home.apply_policy(workers=4)
    with OperatorUnderTest(server.kubeconfig("operator"), tmp_path, home.name):
        until(lambda: home.workers() == 4, "the next operator's document")
