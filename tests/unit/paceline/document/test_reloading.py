"""The moves of a reload; that no total is exceeded on the way is in test_sequencing_properties.py."""

from paceline.document.bounds import CompleteValues
from paceline.document.pod import PoolUse, Worker
from paceline.document.reloading import reload_target


def worker(pid: int, *, ready: bool = True, draining: bool = False, per_pod: bool = False) -> Worker:
    pools = {"postgres": PoolUse(0, 0), "processes": PoolUse(0, 0, per_pod=True)} if per_pod else {}
    return Worker(pid, 1, 0.0, ready=ready and not draining, draining=draining, pools=pools)


WANTED = CompleteValues(3, {"postgres": 8})


def counts(wanted: CompleteValues, former: list[int], workers: list[Worker], *, room: bool = True) -> tuple[int, int]:
    target = reload_target(wanted, former, workers, room=room)
    return target.workers, target.pools["postgres"]


def test_one_more_then_one_less_until_the_former_are_gone() -> None:
    former = [worker(1), worker(2), worker(3)]
    assert counts(WANTED, [1, 2, 3], former) == (4, 6)
    assert counts(WANTED, [1, 2, 3], [*former, worker(4, ready=False)]) == (4, 6)
    assert counts(WANTED, [1, 2, 3], [*former, worker(4)]) == (3, 6)
    assert counts(WANTED, [1, 2, 3], [worker(1, draining=True), *former[1:], worker(4)]) == (3, 6)
    assert counts(WANTED, [2, 3], [*former[1:], worker(4)]) == (4, 6)
    assert counts(WANTED, [], [worker(4), worker(5), worker(6)]) == (3, 8)


def test_what_cannot_be_shared_waits_until_the_former_one_has_gone() -> None:
    wanted = CompleteValues(1, {"postgres": 1})
    assert counts(wanted, [1], [worker(1)]) == (0, 1)
    assert counts(wanted, [1], [worker(1, draining=True)]) == (0, 1)
    assert counts(wanted, [], []) == (1, 1)


def test_without_memory_for_one_more_the_former_one_goes_first() -> None:
    former = [worker(1), worker(2), worker(3)]
    assert counts(WANTED, [1, 2, 3], former, room=False) == (2, 8)
    assert counts(WANTED, [2, 3], former[1:], room=False) == (3, 8)


def test_a_pool_that_counts_for_the_pod_is_not_shared() -> None:
    wanted = CompleteValues(1, {"postgres": 2, "processes": 1})
    assert reload_target(wanted, [1], [worker(1, per_pod=True)], room=True).pools == {"postgres": 1, "processes": 1}
