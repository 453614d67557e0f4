"""Local mode against pods that answer over HTTP: files in, files out, long before the next interval."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from http_pod import PROMPTLY, HttpPod
from serving import eventually

if TYPE_CHECKING:
    from conftest import StartOperator


def test_saving_a_policy_retunes_the_pod_and_says_so(
    tmp_path: Path, pod: HttpPod, start_operator: "StartOperator"
) -> None:
    operator = start_operator(tmp_path, [pod.url])
    operator.apply(mode="Auto", workers={"value": 2}, caches=[{"name": "responses", "ttl": {"value": "5s"}}])

    eventually(lambda: operator.condition("Converged")[0] == "True", "the pod acks", PROMPTLY)
    assert operator.document is not None
    assert operator.document["generation"] == 1
    assert operator.document["values"]["workers"] == 2

    operator.apply(mode="Auto", workers={"value": 3})
    eventually(lambda: pod.model.generation == 2, "the edit is carried out", PROMPTLY)
    eventually(lambda: operator.status()["observedGeneration"] == 2, "the status follows", PROMPTLY)
    # A tunable that is no longer named is not touched.
    assert operator.document["values"]["caches"] == {"responses": {"ttlSeconds": 5}}
    eventually(lambda: operator.lines[-1]["generation"] == 2, "the decision is a line", PROMPTLY)
    assert operator.lines[-1]["changes"] == [{"tunable": "workers", "old": 2, "new": 3}]
    assert operator.lines[-1]["acked"] is True


def test_a_deleted_policy_leaves_everything_and_its_return_goes_on(
    tmp_path: Path, pod: HttpPod, start_operator: "StartOperator"
) -> None:
    operator = start_operator(tmp_path, [pod.url])
    operator.apply(mode="Auto", workers={"value": 3})
    eventually(lambda: pod.model.generation == 1, "the policy is carried out", PROMPTLY)

    (tmp_path / "api.yaml").unlink()
    (tmp_path / "api.status.yaml").unlink()
    operator.apply("other", mode="Auto", workers={"min": 1, "max": 8}, objective={"p95": "45ms"})
    eventually(lambda: operator.condition("Ready", "other")[0] == "True", "the other takes over", PROMPTLY)

    assert operator.status("other")["tuning"]["values"]["workers"] == 3
    assert pod.model.generation == 1


def test_a_file_that_does_not_parse_changes_nothing(
    tmp_path: Path, pod: HttpPod, start_operator: "StartOperator"
) -> None:
    operator = start_operator(tmp_path, [pod.url])
    operator.apply(mode="Auto", workers={"value": 3})
    eventually(lambda: operator.condition("Converged")[0] == "True", "the policy is carried out", PROMPTLY)

    (tmp_path / "api.yaml").write_text("kind: [")
    eventually(lambda: "api.yaml: not YAML" in operator.log, "the log says so", PROMPTLY)
    assert operator.condition("Ready")[0] == "True"

    operator.apply(mode="Auto", workers={"min": 9, "max": 1})
    eventually(lambda: operator.condition("Ready") == ("False", "InvalidSpec"), "the status says so", PROMPTLY)
    assert pod.model.generation == 1


def test_a_target_that_is_not_listed_is_not_found(
    tmp_path: Path, pod: HttpPod, start_operator: "StartOperator"
) -> None:
    operator = start_operator(tmp_path, [pod.url])
    operator.apply(targetRef={"kind": "Process", "name": "nobody"}, workers={"value": 3})

    eventually(lambda: operator.condition("Ready") == ("False", "TargetNotFound"), "the status says so", PROMPTLY)


def test_the_older_of_two_policies_wins_and_the_younger_inherits(
    tmp_path: Path, pod: HttpPod, start_operator: "StartOperator"
) -> None:
    operator = start_operator(tmp_path, [pod.url])
    operator.apply("first", mode="Auto", workers={"value": 3})
    eventually(lambda: operator.condition("Converged", "first")[0] == "True", "the first acts", PROMPTLY)
    operator.apply("second", mode="Auto", workers={"value": 4})
    eventually(lambda: operator.condition("Ready", "second") == ("False", "TargetConflict"), "conflict", PROMPTLY)

    (tmp_path / "first.yaml").unlink()
    eventually(lambda: pod.model.values["workers"] == 4, "the second has its turn", PROMPTLY)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"not json", id="no json"),
        pytest.param(b"[1]", id="another shape"),
        pytest.param(b"{}", id="an empty object"),
        pytest.param(b"x" * (5 << 20), id="more than anybody reads"),
    ],
)
def test_a_pod_that_answers_nonsense_is_a_pod_that_does_not_report(
    answer: bytes, tmp_path: Path, pod: HttpPod, start_operator: "StartOperator"
) -> None:
    pod.answer = answer
    operator = start_operator(tmp_path, [pod.url])
    operator.apply(mode="Recommend", workers={"max": 8}, objective={"p95": "45ms"})

    eventually(lambda: operator.condition("TelemetryAvailable") == ("False", "NotReporting"), "it says so", PROMPTLY)
    assert operator.document is None


def test_a_restarted_operator_goes_on_above_its_generation(
    tmp_path: Path, pod: HttpPod, start_operator: "StartOperator"
) -> None:
    operator = start_operator(tmp_path, [pod.url])
    operator.apply(mode="Auto", workers={"value": 3})
    eventually(lambda: operator.condition("Converged")[0] == "True", "the policy is carried out", PROMPTLY)
    operator.process.kill()
    operator.process.wait()
    operator.process.returncode = 0

    again = start_operator(tmp_path, [pod.url])
    again.apply(mode="Auto", workers={"value": 4})

    eventually(lambda: pod.model.values["workers"] == 4, "the edit is carried out", PROMPTLY)
    assert pod.model.generation == 2
