"""The whole way on one machine: a saved policy, the operator's loop, `paceline serve`, and back as acks."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from paceline_operator.core.model.tunables import WORKERS, cache
from paceline_operator.crd.document import build_document
from paceline_operator.telemetry.state import parse_state
from serving import Served, eventually, pod

if TYPE_CHECKING:
    from conftest import StartOperator


@pytest.mark.timeout(120)
def test_a_pod_follows_its_policy(tmp_path: Path, start_operator: "StartOperator") -> None:
    (tmp_path / "pod").mkdir()
    with pod(tmp_path / "pod", "tuned:app", tuning_file=tmp_path / "tuning.json", keepalive_seconds=1) as served:
        operator = start_operator(tmp_path, [f"http://127.0.0.1:{served.management_port}/state"])
        caches = [{"name": "answers", "ttl": {"value": "5s"}}]
        operator.apply(mode="Auto", workers={"value": 3}, caches=caches, admission={"min": 4, "max": 64})
        eventually(lambda: operator.status().get("pods") == {"total": 1, "applied": 1}, "the pod acks")
        eventually(lambda: operator.condition("Converged")[0] == "True", "the pod acks")

        state = served.state()
        assert state["values"]["workers"] == len(state["workers"]) == 3
        assert state["values"]["caches"] == {"answers": {"ttlSeconds": 5}}
        assert state["values"]["admission"] == {"min": 4, "max": 64}
        assert state["admission"]["limit"] == 3 * 64
        assert state["tuning"]["generation"] == operator.status()["tuning"]["generation"]

        operator.apply(mode="Auto", workers={"value": 1}, caches=caches)
        eventually(lambda: len(served.state()["workers"]) == 1, "workers are removed")
        eventually(lambda: operator.condition("Converged")[0] == "True", "the pod acks again")
        eventually(lambda: operator.status()["observedGeneration"] == 2, "the status speaks of the edit")
        assert "admission" not in served.state()["values"]

        operator.apply(mode="Auto", workers={"value": 1}, caches=[{"name": "anwsers", "ttl": {"value": "9s"}}])
        eventually(lambda: "no worker registered" in str(operator.status()["conditions"]), "a slip is named")


def test_a_pod_runs_what_it_alone_shall_try_and_goes_back(tmp_path: Path) -> None:
    document = tmp_path / "tuning.json"
    common = {WORKERS: 1, cache("answers"): 5}
    document.write_bytes(
        build_document(1, common, "shop/api", overrides={"mine": {WORKERS: 2}, "another": {WORKERS: 3}})
    )
    with pod(tmp_path, "tuned:app", tuning_file=document, pod_uid="mine", keepalive_seconds=1) as served:
        eventually(lambda: _acked(served, 1), "the pod acks the trial")
        state = parse_state(served.state())
        assert (state.uid, state.values[WORKERS], state.values[cache("answers")]) == ("mine", 2, 5)
        assert len(served.state()["workers"]) == 2

        document.write_bytes(build_document(2, common, "shop/api"))
        eventually(lambda: _acked(served, 2), "the pod acks the common values")
        assert parse_state(served.state()).values[WORKERS] == len(served.state()["workers"]) == 1


def _acked(served: Served, generation: int) -> bool:
    state = parse_state(served.state())
    return state.generation == generation and not state.pending
