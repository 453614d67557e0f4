"""The pass over real files, with the clock, the memory and the process table in the test's hand."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from fake_worker import report_of
from paceline.document.bounds import Clamp
from paceline.document.pod import Memory
from paceline.errors import InvalidDocument
from paceline.serve.agent.capacity import Capacity, Status
from paceline.serve.agent.reports import Reports
from paceline.serve.rundir import Effective, RunDir, write_atomically
from paceline.settings import ServeSettings

UNLIMITED = Memory(None, 0, None)


class Pod:
    """A pod whose workers do what the files say as soon as `workers_follow` is called."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.run = RunDir(folder / "run")
        self.run.reports.mkdir(parents=True, exist_ok=True)
        self.document = folder / "tuning.json"
        self.settings = ServeSettings(**{"max_workers": 8, "tuning_file": self.document, **settings})
        self.now = 1000.0
        self.memory = UNLIMITED
        self.living: set[int] = set()
        self.pids = 0
        self.most = 1000

    def starts(self) -> None:
        self.reports = Reports(self.run, lambda pid: pid if pid in self.living else None)
        self.capacity = Capacity(
            self.settings, self.run, self.reports, memory=lambda: self.memory, clock=lambda: self.now
        )

    def writes(self, generation: int, **values: Any) -> None:
        wire = {"schema": "paceline.dev/tuning/v1", "generation": generation, "values": values}
        write_atomically(self.document, orjson.dumps(wire))

    def effective(self) -> Effective:
        effective = self.run.read_effective()
        assert effective is not None
        return effective

    def workers_follow(self, *, in_use: int = 0) -> None:
        count = self.run.read_workers() or 1
        while len(self.living) < count:
            self.pids += 1
            self.living.add(self.pids)
        self.living = set(sorted(self.living)[-count:])
        effective = self.effective()
        for pid in self.living:
            limit = effective.values.pools.get("postgres", 5)
            report = report_of(pid, step=effective.step, generation=effective.generation, limit=limit, in_use=in_use)
            report["time"] = self.now
            write_atomically(self.run.report(pid), orjson.dumps(report))

    def check_total(self) -> None:
        limit = self.effective().values.pools.get("postgres", 5)
        assert len(self.living) * limit <= self.most

    def settles(self, passes: int = 20) -> Status:
        for _ in range(passes):
            self.now += 0.2
            self.workers_follow()
            self.capacity.run_pass()
        assert self.capacity.status.pending == ()
        return self.capacity.status


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


def test_without_a_document_a_pod_runs_its_start_values(tmp_path: Path) -> None:
    pod = Pod(tmp_path, workers=3)
    pod.starts()
    assert (pod.run.read_workers(), pod.effective().generation) == (3, 0)
    status = pod.settles()
    assert status.progress.values.pools == {"postgres": 5}
    assert status.applied_at is not None


def test_a_new_pod_writes_the_document_before_any_worker_has_reported(pod: Pod) -> None:
    pod.writes(7, workers=4, pools={"postgres": 8})
    pod.starts()
    assert pod.run.read_workers() == 4
    assert pod.effective().values.pools == {"postgres": 8}
    assert pod.effective().generation == 7


def test_where_memory_is_limited_a_new_pod_weighs_what_exceeds_its_start_value(pod: Pod) -> None:
    pod.memory = Memory(1000, 100, 100)
    pod.writes(7, workers=4)
    pod.starts()
    assert pod.run.read_workers() == 1
    assert pod.settles().progress.workers == 4


def test_a_document_that_appears_changes_and_vanishes(pod: Pod) -> None:
    pod.starts()
    pod.settles()
    pod.writes(1, workers=3, pools={"postgres": 2}, caches={"responses": {"ttlSeconds": 5}})
    status = pod.settles()
    assert pod.run.read_workers() == 3
    assert pod.effective().values.caches["responses"].ttl_seconds == 5
    pod.document.unlink()
    assert pod.settles().progress == status.progress
    pod.writes(1, workers=3, pools={"postgres": 2}, caches={"responses": {"ttlSeconds": 5}})
    assert pod.settles().refused is None
    pod.writes(2, workers=1)
    assert pod.settles().progress.values.pools == {"postgres": 5}
    assert pod.run.read_workers() == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"{ not json", "InvalidDocument", id="corrupt"),
        pytest.param(b'{"schema":"paceline.dev/tuning/v1","generation":4,"values":{}}', "OlderGeneration", id="older"),
        pytest.param(
            b'{"schema":"paceline.dev/tuning/v1","generation":5,"values":{}}', "ConflictingContent", id="other content"
        ),
    ],
)
def test_what_is_refused_changes_nothing_and_is_said_once(
    pod: Pod, content: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    pod.writes(5, workers=2, pools={"postgres": 8})
    pod.starts()
    before = pod.settles().progress
    write_atomically(pod.document, content)
    status = pod.settles()
    assert status.refused is not None
    assert status.refused.reason == reason
    assert status.progress == before
    assert sum("refused" in record.getMessage() for record in caplog.records) == 1
    pod.writes(6, workers=2, pools={"postgres": 8})
    assert pod.settles().refused is None


def test_a_corrupt_document_that_vanishes_is_no_longer_refused(pod: Pod) -> None:
    pod.starts()
    pod.document.write_text("{")
    assert pod.settles().refused is not None
    pod.document.unlink()
    assert pod.settles().refused is None


def test_a_document_that_cannot_be_read_is_refused(pod: Pod) -> None:
    pod.document.mkdir()
    pod.starts()
    refused = pod.settles().refused
    assert refused is not None
    assert "leads to a folder" in refused.message


def test_values_over_the_caps_are_clamped_and_listed(pod: Pod) -> None:
    pod.starts()
    pod.settles()
    pod.writes(1, workers=50, pools={"postgres": 100})
    status = pod.settles(passes=40)
    assert (pod.run.read_workers(), dict(pod.effective().values.pools)) == (8, {"postgres": 20})
    assert status.clamped == (Clamp("workers", 50, 8, "cap"), Clamp("pools.postgres", 100, 20, "cap"))


def test_too_little_memory_for_another_worker(pod: Pod) -> None:
    pod.starts()
    pod.settles()
    pod.memory = Memory(1000, 850, 60)
    pod.writes(1, workers=4)
    status = pod.settles()
    assert pod.run.read_workers() == 1
    assert status.clamped == (Clamp("workers", 4, 1, "memory"),)


def test_tuning_off_ignores_the_document(tmp_path: Path) -> None:
    pod = Pod(tmp_path, tuning="off")
    pod.writes(7, workers=4)
    pod.starts()
    assert pod.settles().progress.desired.generation == 0
    assert pod.run.read_workers() == 1


def test_an_override_addresses_this_pod_alone(tmp_path: Path) -> None:
    pod = Pod(tmp_path, pod_uid="canary")
    wire = {
        "schema": "paceline.dev/tuning/v1",
        "generation": 1,
        "values": {"workers": 2, "pools": {"postgres": 4}},
        "overrides": {"canary": {"workers": 3}},
    }
    pod.document.write_bytes(orjson.dumps(wire))
    pod.starts()
    assert (pod.run.read_workers(), dict(pod.effective().values.pools)) == (3, {"postgres": 4})


def test_after_an_unclean_exit_the_first_values_are_the_smaller_ones_until_a_new_generation(pod: Pod) -> None:
    pod.writes(3, workers=4, pools={"postgres": 12})
    pod.starts()
    pod.settles()
    pod.living.clear()
    for path in (pod.run.effective, pod.run.workers, pod.run.progress, *pod.run.reports.iterdir()):
        path.unlink()
    pod.run.unclean.touch()
    pod.starts()
    assert (pod.run.read_workers(), dict(pod.effective().values.pools)) == (1, {"postgres": 5})
    status = pod.settles()
    assert {clamp.tunable: clamp.by for clamp in status.clamped} == {
        "workers": "uncleanExit",
        "pools.postgres": "uncleanExit",
    }
    pod.writes(4, workers=4, pools={"postgres": 12})
    status = pod.settles()
    assert (pod.run.read_workers(), status.clamped) == (4, ())


def test_a_held_connection_undoes_a_shrink_and_says_so(pod: Pod) -> None:
    pod.starts()
    pod.settles()
    pod.writes(1, workers=2, pools={"postgres": 2})
    for _ in range(200):
        pod.now += 0.2
        pod.workers_follow(in_use=4)
        pod.capacity.run_pass()
    status = pod.capacity.status
    assert status.refused is not None
    assert status.refused.reason == "ShrinkBlocked"
    assert "postgres 5→2: 2 connections in use" in status.refused.message
    assert (status.progress.desired.generation, pod.effective().generation, status.pending) == (0, 0, ())
    assert (pod.run.read_workers(), dict(pod.effective().values.pools)) == (1, {"postgres": 5})


def test_a_change_survives_a_pass_that_could_not_write(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    pod.starts()
    pod.settles()
    pod.writes(1, workers=3)
    pod.run.workers.unlink()
    pod.run.workers.mkdir()
    with pytest.raises(OSError, match="directory"):
        pod.capacity.run_pass()
    pod.run.workers.rmdir()
    assert pod.settles().progress.desired.generation == 1
    assert pod.run.read_workers() == 3


def test_a_stopping_pod_changes_nothing_any_more(pod: Pod) -> None:
    pod.starts()
    pod.settles()
    pod.run.terminating.touch()
    pod.writes(1, workers=3)
    pod.living.clear()
    pod.capacity.run_pass()
    assert pod.run.read_workers() == 1
    assert pod.reports.restarts == 0


def test_what_another_application_registered_here_before_is_forgotten(pod: Pod) -> None:
    pod.run.registered.write_bytes(orjson.dumps({"startValues": {"pools": {"old": 3}, "caches": {}}, "caps": {}}))
    pod.starts()
    assert pod.effective().values.pools == {"old": 3}
    assert pod.settles().progress.values.pools == {"postgres": 5}


@pytest.mark.parametrize("content", [b"", b"{}", b'{"startValues": 3}', b'{"startValues": {"pools": {"a": "x"}}}'])
def test_a_damaged_memory_of_the_last_life_is_of_no_consequence(pod: Pod, content: bytes) -> None:
    pod.run.registered.write_bytes(content)
    pod.starts()
    assert pod.settles().progress.values.pools == {"postgres": 5}


def test_a_worker_that_dies_later_does_not_apply_the_generation_anew(pod: Pod) -> None:
    pod.starts()
    applied = pod.settles().applied_at
    pod.living.clear()
    pod.capacity.run_pass()
    assert pod.capacity.status.pending == ("worker 1 of 1 not ready",)
    assert pod.settles().applied_at == applied
    assert pod.reports.restarts == 1


def test_a_document_is_news_until_a_pass_has_read_it(pod: Pod) -> None:
    pod.starts()
    assert not pod.capacity.has_news()
    pod.writes(1, workers=2)
    assert pod.capacity.has_news()
    pod.capacity.run_pass()
    assert not pod.capacity.has_news()
    pod.document.unlink()
    assert pod.capacity.has_news()
    pod.capacity.run_pass()
    assert not pod.capacity.has_news()


def test_a_pod_without_tuning_looks_at_no_document(tmp_path: Path) -> None:
    pod = Pod(tmp_path, tuning="off")
    pod.starts()
    pod.writes(1, workers=2)
    assert not pod.capacity.has_news()


class Killed(BaseException):
    """kill -9: nothing of the process runs any more."""


def dies_after(pod: Pod, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """Passes until the agent has made so many writes, and dies in the next."""
    left = [writes]

    def write(path: Path, content: bytes) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        write_atomically(path, content)

    with monkeypatch.context() as patched:
        patched.setattr("paceline.serve.rundir.write_atomically", write)
        patched.setattr("paceline.serve.agent.resumed.write_atomically", write)
        with suppress(Killed):
            for _ in range(60):
                pod.now += 0.2
                pod.check_total()
                pod.workers_follow()
                pod.check_total()
                pod.capacity.run_pass()


CHANGES = {
    "up": {"workers": 4, "pools": {"postgres": 2}},
    "down": {"workers": 1, "pools": {"postgres": 15}},
}


@pytest.mark.invariant
@pytest.mark.parametrize("writes", range(18))
@pytest.mark.parametrize("change", CHANGES)
def test_an_agent_killed_at_any_write_resumes_within_the_larger_total(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, writes: int
) -> None:
    pod = Pod(tmp_path, workers=3)
    pod.starts()
    pod.settles()
    wanted = CHANGES[change]
    pod.most = max(3 * 5, wanted["workers"] * wanted["pools"]["postgres"])
    pod.writes(1, **wanted)
    dies_after(pod, monkeypatch, writes)
    before = (pod.run.effective.read_bytes(), pod.run.read_workers())
    pod.now += 7
    pod.starts()
    pod.capacity.run_pass()
    assert (pod.run.effective.read_bytes(), pod.run.read_workers()) == before
    assert pod.capacity.status.pending, "nothing is acknowledged before every worker has reported"
    for _ in range(60):
        pod.now += 0.2
        pod.check_total()
        pod.workers_follow()
        pod.check_total()
        pod.capacity.run_pass()
    assert pod.capacity.status.pending == ()
    assert (len(pod.living), pod.effective().values.pools) == (wanted["workers"], wanted["pools"])


def test_a_resumed_agent_remembers_what_it_has_followed_and_acknowledged(pod: Pod) -> None:
    pod.writes(5, workers=2)
    pod.starts()
    applied_at = pod.settles().applied_at
    pod.writes(4, workers=3)
    pod.starts()
    pod.now += 3
    status = pod.settles()
    assert status.refused is not None
    assert status.refused.reason == "OlderGeneration"
    assert status.applied_at == applied_at


def test_routes_of_the_newest_document_survive_the_agent(pod: Pod) -> None:
    wire = {"schema": "paceline.dev/tuning/v1", "generation": 5, "values": {"workers": 2}, "routes": ["GET /reports/*"]}
    write_atomically(pod.document, orjson.dumps(wire))
    pod.starts()
    assert pod.settles().routes == ("GET /reports/*",)
    pod.starts()
    pod.now += 3
    assert pod.settles().routes == ("GET /reports/*",)
    pod.writes(6, workers=2)
    assert pod.settles().routes == ()


def test_progress_that_nobody_can_read_is_not_begun_anew(pod: Pod) -> None:
    pod.starts()
    pod.run.progress.write_bytes(b"{}")
    with pytest.raises(InvalidDocument, match="saved progress"):
        pod.starts()


ROOMY, FULL = Memory(2000, 100, 100), Memory(400, 300, 100)


def test_with_auto_the_start_value_is_reached_one_by_one_while_memory_has_room(tmp_path: Path) -> None:
    pod = Pod(tmp_path, workers=4, workers_at_once=1)
    pod.memory = ROOMY
    pod.starts()
    assert pod.run.read_workers() == 1
    pod.settles()
    assert pod.run.read_workers() == 4

    unlimited = Pod(tmp_path / "unlimited", workers=4, workers_at_once=1)
    unlimited.starts()
    assert unlimited.run.read_workers() == 4


def test_workers_that_memory_had_no_room_for_come_once_the_pod_is_given_more(tmp_path: Path) -> None:
    pod = Pod(tmp_path, workers=4, workers_at_once=1)
    pod.memory = FULL
    pod.starts()
    assert pod.settles().clamped == (Clamp("workers", 4, 1, "memory"),)

    pod.memory = Memory(399, 100, 100)
    pod.settles()
    assert pod.run.read_workers() == 1, "that less is used for a moment is no room"
    pod.memory = ROOMY
    assert pod.settles().clamped == ()
    assert pod.run.read_workers() == 4
