"""Values reach the workers through `effective.json`, and their reports say so."""

from pathlib import Path

from paceline.document.model import Values
from paceline.document.tunables import CacheValues
from serving import StartArbiter, eventually


def test_a_worker_accepts_only_after_the_agent_has_spoken(start_arbiter: StartArbiter) -> None:
    pod = start_arbiter()
    pod.run.effective.unlink()
    pod.run.write_workers(2)
    eventually(lambda: len(pod.reports()) == 2, "the second worker reports")
    first = pod.ready_workers()
    assert len(first) == 1
    pod.speak(generation=3)
    eventually(lambda: len(pod.ready_workers()) == 2, "both are ready")
    eventually(lambda: {report["generation"] for report in pod.reports()} == {3}, "both run generation 3")


def test_values_are_applied_and_answered_at_once(start_arbiter: StartArbiter) -> None:
    pod = start_arbiter("tuned:app")
    (report,) = pod.reports()
    assert report["startValues"]["caches"] == {"answers": {"ttlSeconds": 60}}
    pod.speak(Values(caches={"answers": CacheValues(5.0)}, pools={"nosuch": 3}), generation=7)
    eventually(lambda: pod.reports()[0]["generation"] == 7, "generation 7 is answered")
    (report,) = pod.reports()
    assert report["caches"]["answers"]["ttlSeconds"] == 5
    assert report["unknown"] == ["nosuch"]
    pod.speak(generation=8)
    eventually(lambda: pod.reports()[0]["generation"] == 8, "generation 8 is answered")
    assert pod.reports()[0]["caches"]["answers"]["ttlSeconds"] == 60, "an absent tunable means its start value"


def test_a_new_worker_starts_with_the_values_in_force(start_arbiter: StartArbiter) -> None:
    pod = start_arbiter("tuned:app")
    pod.speak(Values(caches={"answers": CacheValues(5.0)}), generation=7)
    eventually(lambda: pod.reports()[0]["generation"] == 7, "the first worker runs generation 7")
    pod.scale(2)
    assert [report["caches"]["answers"]["ttlSeconds"] for report in pod.reports()] == [5, 5]


def test_a_corrupt_file_changes_nothing_and_is_told(start_arbiter: StartArbiter, tmp_path: Path) -> None:
    pod = start_arbiter()
    pod.speak(generation=7)
    eventually(lambda: pod.reports()[0]["generation"] == 7, "generation 7 is answered")
    pod.run.effective.write_bytes(b'{"generation": 8')
    eventually(lambda: "what runs stays" in pod.stderr, "the log says so")
    assert pod.get()[0] == 200
    assert pod.reports()[0]["generation"] == 7
    pod.speak(generation=9)
    eventually(lambda: pod.reports()[0]["generation"] == 9, "the next good file counts")


def test_reports_count_requests(start_arbiter: StartArbiter) -> None:
    pod = start_arbiter()
    for _ in range(3):
        pod.get()
    eventually(lambda: sum(group["count"] for group in pod.reports()[0]["requests"]) == 3, "three requests counted")
    eventually(lambda: pod.reports()[0]["memoryBytes"] > 1_000_000, "memory is measured")
