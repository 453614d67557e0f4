"""The law of TTLs on a real pod: a real cache counts its ghosts, and the TTL goes straight to the best of them."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from keepalive_load import KeepAliveLoad
from serving import eventually, pod

if TYPE_CHECKING:
    from conftest import StartOperator


@pytest.mark.timeout(120)
def test_the_ttl_goes_to_the_best_that_ghosts_have_measured(tmp_path: Path, start_operator: "StartOperator") -> None:
    (tmp_path / "pod").mkdir()
    with (
        pod(tmp_path / "pod", "caching:app", tuning_file=tmp_path / "tuning.json") as served,
        KeepAliveLoad(served.port, connections=16),
    ):
        operator = start_operator(tmp_path, [f"http://127.0.0.1:{served.management_port}/state"])
        operator.apply(
            mode="Auto",
            objective={"p95": "1s", "prefer": "latency"},
            caches=[{"name": "answers", "ttl": {"min": "1s", "max": "5s"}}],
            behavior={"interval": "5s", "minSamples": 250},
        )
        eventually(lambda: served.state()["caches"]["answers"]["ttlSeconds"] == 5, "the TTL moves to the best", 60)
        eventually(lambda: operator.condition("Converged")[0] == "True", "the pod acks")

        (decision,) = [entry for entry in operator.status()["decisions"] if entry.get("changes")]
        assert decision["reason"] == "CacheMissesHigh"
        assert "answers 1s→5s: answers hits" in decision["message"]
