"""`paceline-operator run` with a real API server and the chart's rights: a policy's life, the process's start, end."""

import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from collector import collecting
from envtest import EnvtestServer
from operator_process import COMMAND, OperatorUnderTest, until
from policy_namespace import PolicyNamespace

pytestmark = pytest.mark.apiserver


@pytest.fixture
def home(server: EnvtestServer, namespace: str) -> PolicyNamespace:
    return PolicyNamespace(server, namespace)


def start(server: EnvtestServer, folder: Path, *namespaces: str) -> OperatorUnderTest:
    return OperatorUnderTest(server.kubeconfig("operator"), folder, *namespaces)


@pytest.fixture
def operator(server: EnvtestServer, home: PolicyNamespace, tmp_path: Path) -> Iterator[OperatorUnderTest]:
    """Watches the test's namespace alone, so that tests do not meet."""
    with start(server, tmp_path, home.name) as running:
        running.wait_until_healthy()
        yield running


def test_a_policy_is_carried_out_and_says_so(operator: OperatorUnderTest, home: PolicyNamespace) -> None:
    home.create_target()
    home.apply_policy(workers=3)
    until(lambda: home.workers() == 3, "the document")
    until(lambda: home.ready() == ("True", "Accepted"), "the condition Ready")
    policy = home.policy()
    assert policy is not None
    assert policy["status"]["observedGeneration"] == 1
    assert policy["status"]["tuning"]["generation"] == 1
    assert home.document()["policy"] == f"{home.name}/api"
    until(lambda: [event["reason"] for event in home.events()] == ["PinnedBySpec"], "an Event")


def test_the_operator_leaves_no_trace_on_a_policy_but_its_status(
    operator: OperatorUnderTest, home: PolicyNamespace
) -> None:
    home.create_target()
    home.apply_policy(workers=3)
    until(lambda: home.ready() is not None, "a status")
    metadata = (home.policy() or {})["metadata"]
    assert "finalizers" not in metadata
    assert "annotations" not in metadata
    home.delete_policy()
    assert home.policy() is None, "deleting waits for nobody"


def test_a_deleted_policy_leaves_the_document_and_a_new_one_goes_on_from_it(
    operator: OperatorUnderTest, home: PolicyNamespace
) -> None:
    home.create_target()
    home.apply_policy(workers=3)
    until(lambda: home.workers() == 3, "the document")
    home.delete_policy()
    home.apply_policy(workers=2)
    until(lambda: home.workers() == 2, "the new policy's document")
    assert home.document()["generation"] == 2


def test_a_target_that_appears_late_is_seen_at_once(operator: OperatorUnderTest, home: PolicyNamespace) -> None:
    home.apply_policy(workers=3)
    until(lambda: home.ready() == ("False", "TargetNotFound"), "the condition Ready")
    home.create_target()
    until(lambda: home.workers() == 3, "the document")
    until(lambda: home.ready() == ("True", "Accepted"), "the condition Ready")


def test_of_two_policies_the_older_wins_and_the_other_follows_when_it_goes(
    operator: OperatorUnderTest, home: PolicyNamespace
) -> None:
    home.create_target()
    home.apply_policy(workers=3)
    until(lambda: home.workers() == 3, "the document")
    _wait_for_a_later_second(home)
    home.apply_policy(workers=5, name="second")
    until(lambda: home.ready("second") == ("False", "TargetConflict"), "the conflict")
    home.delete_policy()
    until(lambda: home.workers() == 5, "the second policy's document")


def test_an_operator_that_starts_knows_the_older_of_two_policies_at_once(
    server: EnvtestServer, home: PolicyNamespace, tmp_path: Path
) -> None:
    home.create_target()
    home.apply_policy(workers=3)
    _wait_for_a_later_second(home)
    home.apply_policy(workers=5, name="second")
    with start(server, tmp_path, home.name):
        until(lambda: home.ready("second") == ("False", "TargetConflict"), "the conflict")
        until(lambda: home.workers() == 3, "the document")
        assert home.document()["generation"] == 1


def _wait_for_a_later_second(home: PolicyNamespace) -> None:
    """Creation times are whole seconds."""
    first = datetime.fromisoformat((home.policy() or {})["metadata"]["creationTimestamp"])
    until(lambda: datetime.now(UTC) > first + timedelta(seconds=1.1), "a later second")


def test_a_killed_operator_goes_on_where_it_was(server: EnvtestServer, home: PolicyNamespace, tmp_path: Path) -> None:
    home.create_target()
    with start(server, tmp_path, home.name) as first:
        home.apply_policy(workers=3)
        until(lambda: home.ready() == ("True", "Accepted"), "a status")
        first.process.kill()
    home.apply_policy(workers=4)
    with start(server, tmp_path, home.name):
        until(lambda: home.workers() == 4, "the new document")
    assert home.document()["generation"] == 2


def test_an_operator_at_rest_writes_nothing(operator: OperatorUnderTest, home: PolicyNamespace) -> None:
    home.create_target()
    home.apply_policy(workers=3)
    until(lambda: (home.policy() or {}).get("status", {}).get("decisions"), "a decision")
    until(lambda: _rests(operator, home), "a pass that writes nothing")


def _passes(operator: OperatorUnderTest) -> float:
    line = next(line for line in operator.metrics().splitlines() if "reconcile_seconds_count" in line)
    return float(line.split()[-1])


def _rests(operator: OperatorUnderTest, home: PolicyNamespace) -> bool:
    """Whether the next pass leaves the policy as it is."""
    version, passes = _version(home), _passes(operator)
    until(lambda: _passes(operator) > passes, "another pass")
    return _version(home) == version


def _version(home: PolicyNamespace) -> str:
    return str((home.policy() or {})["metadata"]["resourceVersion"])


def test_only_the_named_namespaces_are_served(server: EnvtestServer, home: PolicyNamespace, tmp_path: Path) -> None:
    with start(server, tmp_path, home.name, "default") as operator:
        operator.wait_until_healthy()
        server.create("/api/v1/namespaces", {"metadata": {"name": f"{home.name}-other"}})
        other = PolicyNamespace(server, f"{home.name}-other")
        for one in (other, home):
            one.create_target()
            one.apply_policy(workers=3)
        until(lambda: home.workers() == 3, "the document")
        assert other.ready() is None


def test_sigterm_ends_it_quickly_and_well(operator: OperatorUnderTest, home: PolicyNamespace) -> None:
    home.create_target()
    home.apply_policy(workers=3)
    until(lambda: home.ready() is not None, "a status")
    assert operator.terminate() == 0
    assert [line["message"] for line in operator.log_lines if "exc_info" in line] == []


def test_the_log_is_json_and_speaks_of_each_decision(operator: OperatorUnderTest, home: PolicyNamespace) -> None:
    home.create_target()
    home.apply_policy(workers=3)
    until(lambda: home.ready() is not None, "a status")
    until(lambda: "PinnedBySpec" in operator.log, "the decision in the log")
    assert operator.log_lines, "every line parses"


def test_metrics_count_decisions_by_reason(operator: OperatorUnderTest, home: PolicyNamespace) -> None:
    home.create_target()
    home.apply_policy(workers=3)
    until(lambda: 'decisions_total{reason="PinnedBySpec"} 1.0' in operator.metrics(), "the counter")
    assert "paceline_operator_policies 1.0" in operator.metrics()


def test_each_pass_is_a_trace_that_status_and_document_name(
    server: EnvtestServer, home: PolicyNamespace, tmp_path: Path
) -> None:
    with collecting() as collector:
        kubeconfig = server.kubeconfig("operator")
        with OperatorUnderTest(
            kubeconfig, tmp_path, home.name, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint
        ) as operator:
            home.create_target()
            home.apply_policy(workers=3)
            until(lambda: home.ready() == ("True", "Accepted"), "a status")
            assert operator.terminate() == 0
        trace = home.document()["traceparent"].split("-")[1]
        steps = [span.name for span in collector.spans if span.trace_id == trace]
    assert sorted(steps) == ["apply", "decide", "observe", "propagate", "reconcile"]
    (decision,) = ((home.policy() or {})["status"]["decisions"])[:1]
    assert decision["traceID"] == trace


def run_expecting_failure(kubeconfig: Path, **environment: str) -> str:
    done = subprocess.run(
        [COMMAND, "run"], env={"KUBECONFIG": str(kubeconfig), **environment}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_without_a_cluster_it_says_so_in_one_line(tmp_path: Path) -> None:
    assert "run in a pod or set KUBECONFIG" in run_expecting_failure(tmp_path / "absent")


def test_a_port_in_use_is_named_in_one_line(server: EnvtestServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        for variable in ("METRICS_BIND", "PROBE_BIND"):
            ports = {"PACELINE_OPERATOR_METRICS_BIND": "", f"PACELINE_OPERATOR_{variable}": bind}
            assert bind in run_expecting_failure(server.kubeconfig("operator"), **ports)
