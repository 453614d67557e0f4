"""Bad tuning documents in front of a real pod under load: what runs stays, `/state` says why, no request is lost."""

import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from keepalive_load import KeepAliveLoad
from paceline.serve.rundir import write_atomically
from serving import Served, StartPod, eventually, still_running


def write(document: Path, generation: int, **values: Any) -> None:
    wire = {"schema": "paceline.dev/tuning/v1", "generation": generation, "values": values}
    write_atomically(document, orjson.dumps(wire))


def applied(pod: Served, generation: int) -> dict[str, Any]:
    def state() -> dict[str, Any] | None:
        found = pod.state()
        return found if found["tuning"]["generation"] == generation and not found["tuning"]["pending"] else None

    return dict(eventually(state, f"generation {generation} is applied"))


def refused(pod: Served, reason: str) -> dict[str, Any]:
    def state() -> dict[str, Any] | None:
        found = pod.state()
        refusal = found["tuning"]["refused"]
        return found if refusal and refusal["reason"] == reason else None

    return dict(eventually(state, f"refused: {reason}"))


@pytest.fixture
def document(tmp_path: Path) -> Path:
    return tmp_path / "tuning.json"


@pytest.mark.invariant
def test_refused_documents_change_nothing_and_lose_nothing(start_pod: StartPod, document: Path) -> None:
    write(document, 5, workers=2, caches={"answers": {"ttlSeconds": 7}})
    pod = start_pod("tuned:app", tuning_file=document, keepalive_seconds=1)
    before = applied(pod, 5)
    bad = {
        "InvalidDocument": b"{ cut off",
        "OlderGeneration": b'{"schema": "paceline.dev/tuning/v1", "generation": 4, "values": {"workers": 1}}',
        "ConflictingContent": b'{"schema": "paceline.dev/tuning/v1", "generation": 5, "values": {"workers": 1}}',
    }
    with KeepAliveLoad(pod.port, connections=8) as load:
        for reason, content in bad.items():
            write_atomically(document, content)
            after = refused(pod, reason)
            assert after["values"] == before["values"]
            assert [worker["pid"] for worker in after["workers"]] == [worker["pid"] for worker in before["workers"]]
        document.unlink()
        eventually(lambda: pod.state()["tuning"]["refused"] is None, "nothing is refused without a document")
        assert pod.state()["values"] == before["values"]
        write(document, 6, workers=3)
        state = applied(pod, 6)
    assert load.outcome.lost == []
    assert len(state["workers"]) == 3
    assert state["values"]["caches"] == {"answers": {"ttlSeconds": 60.0}}, "absent means the start value"


def test_a_path_that_leads_to_no_document_is_refused_and_the_agent_goes_on(
    start_pod: StartPod, document: Path, tmp_path: Path
) -> None:
    os.mkfifo(document)
    pod = start_pod("tuned:app", tuning_file=document)
    assert "a pipe" in refused(pod, "InvalidDocument")["tuning"]["refused"]["message"]
    for target in ("/dev/zero", "/proc/self/pagemap", tmp_path):
        link = tmp_path / "link"
        link.symlink_to(target)
        link.replace(document)
        refused(pod, "InvalidDocument")
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 2**40)
    (tmp_path / "huge").replace(document)
    eventually(lambda: "larger than" in (pod.state()["tuning"]["refused"] or {}).get("message", ""), "too large")
    write(document, 2**63 - 1, workers=2)
    assert len(applied(pod, 2**63 - 1)["workers"]) == 2
    for number in (b"9223372036854775808", b"18446744073709551621", b"true", b"1e3", b"NaN"):
        write_atomically(document, b'{"schema": "paceline.dev/tuning/v1", "generation": %b, "values": {}}' % number)
        refused(pod, "InvalidDocument")
    write(document, 1)
    assert "restart the pods" in refused(pod, "OlderGeneration")["tuning"]["refused"]["message"]
    assert [pod.management(path) for path in ("/livez", "/readyz", "/metrics", "/state")] == [200] * 4


def test_values_over_the_caps_and_unknown_names_are_reported(start_pod: StartPod, document: Path) -> None:
    pod = start_pod("tuned:app", tuning_file=document, max_workers=2)
    applied(pod, 0)
    write(document, 1, workers=99, pools={"nowhere": 4})
    state = applied(pod, 1)
    assert len(state["workers"]) == 2
    assert state["tuning"]["clamped"] == [{"tunable": "workers", "asked": 99, "granted": 2, "by": "cap"}]
    assert state["tuning"]["unknown"] == ["nowhere"]


def test_after_a_crash_the_pod_starts_with_the_smaller_values(start_pod: StartPod, document: Path) -> None:
    write(document, 3, workers=3, caches={"answers": {"ttlSeconds": 600}})
    first = start_pod("tuned:app", tuning_file=document, workers=1)
    applied(first, 3)
    processes = first.descendants()
    first.process.kill()
    eventually(lambda: not still_running(processes), "all processes ended")
    second = start_pod("tuned:app", tuning_file=document, workers=1)
    state = applied(second, 3)
    assert state["values"] == {"workers": 1, "pools": {}, "caches": {"answers": {"ttlSeconds": 60.0}}}
    assert {clamp["by"] for clamp in state["tuning"]["clamped"]} == {"uncleanExit"}
    write(document, 4, workers=3, caches={"answers": {"ttlSeconds": 600}})
    state = applied(second, 4)
    assert (len(state["workers"]), state["tuning"]["clamped"]) == (3, [])


def test_a_new_worker_that_cannot_start_holds_up_nothing_else(
    start_pod: StartPod, document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count stays pending; a later generation goes past it."""
    fails = tmp_path / "fails"
    monkeypatch.setenv("START_FAILS", str(fails))
    monkeypatch.setenv("LIFE_NOTES", str(tmp_path))
    pod = start_pod("lifecycle:app", tuning_file=document)
    applied(pod, 0)
    fails.touch()
    write(document, 1, workers=2)
    eventually(lambda: "worker 2 of 2 not ready" in pod.state()["tuning"]["pending"], "the second worker fails")
    assert pod.management("/readyz") == 200
    write(document, 2, workers=1)
    assert len(applied(pod, 2)["workers"]) == 1
