"""Single stories; the interleavings are in test_sequencing_properties.py."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from paceline.document.adoption import DesiredState
from paceline.document.bounds import CompleteValues
from paceline.document.model import Values
from paceline.document.pod import Memory, PodSnapshot, PoolUse, Worker
from paceline.document.sequencing import Progress, advance, begin, follow, pending
from paceline.document.tunables import AdmissionValues, CacheValues

PLENTY = Memory(None, 0, None)
DEADLINE_SECONDS = 30.0


class Story:
    """One pod that begins settled in `start`, at second 100."""

    def __init__(self, workers: int = 2, caches: Mapping[str, CacheValues] | None = None, **pools: int) -> None:
        self.wanted = CompleteValues(workers, pools, caches or {})
        self.memory = PLENTY
        self.now = 100.0
        self.progress = begin(DesiredState(1, Values()), self.wanted, workers=workers, step=1, now=self.now)
        self.workers: Sequence[Worker] = ()
        self.everybody_runs_it(workers)
        self.passes()

    def goes_to(self, workers: int = 2, caches: Mapping[str, CacheValues] | None = None, **pools: int) -> None:
        self.wanted = CompleteValues(workers, pools, caches or {})
        self.progress = follow(
            self.progress, DesiredState(self.progress.desired.generation + 1, Values()), now=self.now
        )
        self.passes()

    def passes(self) -> Progress:
        self.now += 0.1
        self.progress = advance(self.progress, self.wanted, self.snapshot())
        return self.progress

    def snapshot(self) -> PodSnapshot:
        return PodSnapshot(self.workers, self.memory, self.now, DEADLINE_SECONDS)

    def pending(self) -> list[str]:
        return pending(self.progress, self.wanted, self.snapshot())

    def everybody_runs_it(self, count: int, **in_use: int) -> None:
        self.workers = tuple(self.worker(number, **in_use) for number in range(1, count + 1))

    def worker(
        self, pid: int, *, step: int | None = None, ready: bool = True, draining: bool = False, **in_use: int
    ) -> Worker:
        uses = {name: PoolUse(number, number) for name, number in in_use.items()}
        step = self.progress.step if step is None else step
        return Worker(pid, step, self.now, ready=ready and not draining, draining=draining, pools=uses)


def test_a_settled_pod_stays_as_it_is() -> None:
    story = Story(postgres=5)
    assert story.pending() == []
    assert story.passes() is not None
    assert (story.progress.step, story.progress.workers) == (1, 2)


def test_a_pool_for_the_whole_pod_shrinks_once_all_its_workers_together_are_within_it() -> None:
    story = Story(workers=2, processes=3)
    story.goes_to(workers=2, processes=2)

    def run(*calls: int) -> None:
        uses = [{"processes": PoolUse(number, number, per_pod=True)} for number in calls]
        story.workers = tuple(
            Worker(pid, story.progress.step, story.now, ready=True, pools=use) for pid, use in enumerate(uses, 1)
        )
        story.passes()

    run(2, 1)
    assert story.pending() == ["processes 3→2: 1 connections in use"]
    run(1, 1)
    assert story.pending() == []


def test_admission_comes_and_goes_with_the_first_step() -> None:
    story = Story(workers=2, postgres=5)
    for admission in (AdmissionValues(2, 40), None):
        story.wanted = replace(story.wanted, admission=admission)
        story.progress = follow(
            story.progress, DesiredState(story.progress.desired.generation + 1, Values()), now=story.now
        )
        assert story.passes().values.admission == admission
        assert story.pending() == [f"2 of 2 workers have not applied step {story.progress.step}"]
        story.everybody_runs_it(2)


def test_a_pool_shrinks_in_all_workers_before_one_is_added() -> None:
    story = Story(workers=2, postgres=10)
    story.goes_to(workers=3, postgres=3)
    assert story.progress.values.pools == {"postgres": 3}
    assert story.progress.workers == 2
    story.workers = (story.worker(1, postgres=2), story.worker(2, step=1, postgres=3))
    assert story.passes().workers == 2
    assert "worker 2 has not applied step 2" in story.pending()
    story.workers = (story.worker(1, postgres=2), story.worker(2, postgres=5))
    assert story.passes().workers == 2
    assert "postgres 10→3: 2 connections in use" in story.pending()
    story.everybody_runs_it(2, postgres=3)
    assert story.passes().workers == 3
    assert story.pending() == ["worker 3 of 3 not ready"]
    story.everybody_runs_it(3)
    story.passes()
    assert story.pending() == []


def test_a_draining_worker_counts_while_a_pool_shrinks() -> None:
    story = Story(workers=2, postgres=10)
    story.goes_to(workers=3, postgres=3)
    story.workers = (story.worker(1), story.worker(2), story.worker(3, draining=True, postgres=9))
    assert story.passes().workers == 2
    assert "postgres 10→3: 6 connections in use" in story.pending()


def test_idle_connections_above_the_limit_block_as_those_in_use_do() -> None:
    story = Story(workers=1, postgres=10)
    story.goes_to(workers=2, postgres=3)
    story.workers = (Worker(1, 2, story.now, ready=True, pools={"postgres": PoolUse(0, 4)}),)
    assert story.passes().workers == 1


def test_a_pool_grows_only_after_the_removed_workers_are_gone() -> None:
    story = Story(workers=3, postgres=4)
    story.goes_to(workers=1, postgres=12)
    assert (story.progress.workers, story.progress.values.pools) == (1, {"postgres": 4})
    story.now += 5
    story.workers = (story.worker(1), story.worker(2, draining=True))
    assert story.passes().values.pools == {"postgres": 4}
    assert story.pending() == ["1 removed workers not gone", "postgres 4→12: not written"]
    story.workers = (story.worker(1),)
    assert story.passes().values.pools == {"postgres": 12}
    story.workers = (story.worker(1),)
    assert story.pending() == []


def test_after_a_removal_the_arbiter_gets_a_second_to_follow() -> None:
    story = Story(workers=2, postgres=4)
    story.workers = (story.worker(1),)
    story.goes_to(workers=1, postgres=8)
    assert story.passes().values.pools == {"postgres": 4}
    assert "workers removed a moment ago" in story.pending()
    story.now += 1
    assert story.passes().values.pools == {"postgres": 8}


def test_cache_ttls_go_with_the_first_step() -> None:
    story = Story(workers=2, postgres=10)
    story.goes_to(workers=4, postgres=3, caches={"responses": CacheValues(5)})
    assert story.progress.values.caches == {"responses": CacheValues(5)}


def test_workers_are_added_one_at_a_time() -> None:
    story = Story(workers=1)
    story.goes_to(workers=4)
    assert story.progress.workers == 2
    assert story.passes().workers == 2
    story.workers = (story.worker(1), story.worker(2, ready=False))
    assert story.passes().workers == 2
    story.everybody_runs_it(2)
    assert story.passes().workers == 3


def test_no_worker_is_added_while_another_is_leaving() -> None:
    story = Story(workers=2)
    story.workers = (story.worker(1), story.worker(2), story.worker(3, draining=True))
    story.goes_to(workers=3)
    assert story.progress.workers == 2


@pytest.mark.parametrize(
    ("used", "workers"),
    [pytest.param(480, 3, id="540 of 600 fits"), pytest.param(481, 2, id="541 of 600 does not")],
)
def test_a_worker_is_added_only_where_memory_leaves_a_tenth(used: int, workers: int) -> None:
    story = Story(workers=2)
    story.memory = Memory(600, used, 60)
    story.goes_to(workers=3)
    assert story.progress.workers == workers


def test_memory_clamps_for_this_generation_and_the_rest_goes_on() -> None:
    story = Story(workers=2, postgres=4)
    story.memory = Memory(600, 590, 60)
    story.goes_to(workers=4, postgres=8)
    assert story.progress.memory_bound == 2
    story.passes()
    assert story.progress.values.pools == {"postgres": 8}
    story.everybody_runs_it(2)
    assert story.pending() == []
    story.memory = PLENTY
    assert story.passes().workers == 2, "an acknowledged count does not move by itself"
    story.goes_to(workers=4, postgres=8)
    assert story.progress.workers == 3


def test_the_first_worker_is_weighed_before_the_next_is_added() -> None:
    story = Story(workers=1)
    story.memory = Memory(600, 100, None)
    story.goes_to(workers=2)
    assert story.progress.workers == 1
    story.now += 5
    assert story.passes().workers == 2, "one that cannot be weighed holds nobody up for ever"


def test_a_blocked_shrink_is_undone_and_the_old_generation_stays_in_force() -> None:
    story = Story(workers=2, postgres=10)
    old = story.wanted
    story.goes_to(workers=4, postgres=3, caches={"responses": CacheValues(5)})
    story.workers = (story.worker(1, postgres=7), story.worker(2, postgres=3))
    story.now += DEADLINE_SECONDS - 0.3
    assert story.passes().blocked is None
    story.now += 0.3
    refusal = story.passes().blocked
    assert refusal is not None
    assert (refusal.generation, refusal.reason) == (2, "ShrinkBlocked")
    assert "postgres 10→3: 4 connections in use" in refusal.message
    story.wanted = old
    story.passes()
    assert (story.progress.generation, story.progress.workers) == (1, 2)
    assert story.progress.values == old
    story.everybody_runs_it(2, postgres=7)
    assert story.pending() == []
    assert story.passes().blocked is refusal, "said until another generation comes"
    story.goes_to(workers=2, postgres=8)
    assert story.progress.blocked is None


def test_a_generation_that_supersedes_a_blocked_one_falls_back_to_what_ran_before_both() -> None:
    story = Story(workers=2, postgres=10)
    story.goes_to(workers=2, postgres=3)
    story.workers = (story.worker(1, postgres=9), story.worker(2))
    story.passes()
    story.goes_to(workers=2, postgres=2)
    story.now += DEADLINE_SECONDS
    assert story.passes().desired.generation == 1


def test_a_milder_shrink_supersedes_without_waiting_for_the_harder_one() -> None:
    story = Story(workers=2, postgres=10)
    story.goes_to(workers=2, postgres=3)
    story.everybody_runs_it(2, postgres=5)
    story.goes_to(workers=2, postgres=6)
    story.everybody_runs_it(2, postgres=5)
    story.passes()
    assert story.pending() == []


def test_the_first_state_is_never_undone_since_nothing_ran_before() -> None:
    story = Story(workers=1, postgres=10)
    story.wanted = CompleteValues(1, {"postgres": 4})
    story.passes()
    story.everybody_runs_it(1, postgres=9)
    story.now += 2 * DEADLINE_SECONDS
    assert story.passes().blocked is None
    assert story.progress.values.pools == {"postgres": 4}


def test_a_worker_that_dies_at_every_start_does_not_hold_up_a_shrink() -> None:
    story = Story(workers=2, postgres=10)
    story.goes_to(workers=1, postgres=3)
    story.workers = (story.worker(1), story.worker(2, step=0, ready=False))
    assert story.passes().workers == 2, "it may have read the values before this shrink"
    story.now += 2
    story.workers = (story.worker(1), story.worker(3, step=0, ready=False))
    assert story.passes().workers == 1, "it had read nothing long after the shrink was written"


def test_a_write_and_its_acknowledgement_take_two_passes_even_without_workers() -> None:
    story = Story(workers=1, postgres=10)
    story.workers = ()
    story.goes_to(workers=2, postgres=5)
    assert story.progress.workers == 1
    assert story.progress.settled == {"postgres": 10}


def test_a_pool_that_turns_up_later_is_written_and_waited_for() -> None:
    story = Story(workers=1)
    story.wanted = CompleteValues(2, {"reports": 4})
    story.passes()
    story.workers = (story.worker(1, reports=6),)
    assert story.passes().workers == 1
    assert "reports →4: 2 connections in use" in story.pending()


def test_a_dead_worker_shows_as_not_ready_while_the_arbiter_replaces_it() -> None:
    story = Story(workers=2)
    story.workers = (story.worker(1),)
    assert story.pending() == ["worker 2 of 2 not ready"]


def test_a_blocked_shrink_falls_back_to_the_last_generation_whose_own_shrink_went_through() -> None:
    story = Story(workers=2, postgres=10)
    story.goes_to(workers=4, postgres=6)
    story.everybody_runs_it(2)
    story.passes()
    story.goes_to(workers=4, postgres=2)
    story.everybody_runs_it(2, postgres=6)
    story.now += DEADLINE_SECONDS
    assert story.passes().desired.generation == 2
