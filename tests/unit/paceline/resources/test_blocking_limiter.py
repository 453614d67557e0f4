"""The limiter for threads: never more permits than the limit, first come, first served, nothing lost on the way."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from paceline.errors import AcquireTimeout
from paceline.resources.blocking_limiter import BlockingLimiter
from paceline.telemetry.time_spent import Kind, TimeSpent, current


def wait_for(limiter: BlockingLimiter, waiting: int) -> None:
    deadline = time.monotonic() + 30
    while limiter.waiting != waiting:
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.invariant
def test_no_more_permits_than_the_limit_whatever_it_is() -> None:
    limiter, lock, held, highest = BlockingLimiter("p", 3), threading.Lock(), 0, 0
    allowed = 7

    def use(_: int) -> None:
        nonlocal held, highest
        granted = limiter.acquire(30)
        with lock:
            held += 1
            highest = max(highest, held)
        time.sleep(0.0005)
        with lock:
            held -= 1
        limiter.release(granted)

    with ThreadPoolExecutor(32) as threads:
        uses = [threads.submit(use, each) for each in range(2000)]
        for limit in [1, 7, 2, 5] * 20:
            limiter.set_limit(limit)
            time.sleep(0.002)
        limiter.set_limit(3)
        for each in uses:
            each.result(60)
    assert highest <= allowed
    assert (limiter.in_use, limiter.waiting, limiter.timeouts) == (0, 0, 0)
    assert limiter.wait.to_json()["count"] == limiter.hold.to_json()["count"] == 2000


def test_a_smaller_limit_counts_for_permits_that_come_back() -> None:
    limiter = BlockingLimiter("p", 2)
    first, second = limiter.acquire(), limiter.acquire()
    limiter.set_limit(1)
    limiter.release(first)
    with pytest.raises(AcquireTimeout):
        limiter.acquire(0.01)
    limiter.release(second)
    limiter.release(limiter.acquire(0.01))


def test_first_come_first_served() -> None:
    limiter, served = BlockingLimiter("p", 1), list[int]()
    held = limiter.acquire()

    def take(number: int) -> None:
        granted = limiter.acquire(30)
        served.append(number)
        limiter.release(granted)

    threads = []
    for number in range(8):
        threads.append(threading.Thread(target=take, args=(number,)))
        threads[-1].start()
        wait_for(limiter, number + 1)
    limiter.release(held)
    for thread in threads:
        thread.join(30)
    assert served == list(range(8))


def test_a_timeout_names_the_pool_and_leaves_the_queue() -> None:
    limiter = BlockingLimiter("orders", 1)
    held = limiter.acquire()
    with pytest.raises(
        AcquireTimeout, match=r"pool 'orders': no connection became free within 0\.01 s \(1 in use, limit 1"
    ):
        limiter.acquire(0.01)
    assert (limiter.timeouts, limiter.waiting, limiter.in_use) == (1, 0, 1)
    limiter.release(held)
    assert limiter.in_use == 0


@pytest.mark.invariant
def test_a_grant_in_the_moment_of_the_timeout_is_not_lost() -> None:
    limiter = BlockingLimiter("p", 1)

    def take(_: int) -> bool:
        try:
            granted = limiter.acquire(0.001)
        except AcquireTimeout:
            return False
        time.sleep(0.001)
        limiter.release(granted)
        return True

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(take, range(800)))
    assert limiter.in_use == 0
    assert limiter.timeouts == outcomes.count(False)


def test_who_is_turned_away_has_no_permit_to_give_back() -> None:
    limiter = BlockingLimiter("p", 1)
    limiter.acquire()
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(limiter.acquire, 60)
        wait_for(limiter, 1)
        limiter.turn_away(lambda: ValueError("closed"))
        with pytest.raises(ValueError, match="closed"):
            waiting.result(30)
    assert (limiter.in_use, limiter.waiting, limiter.timeouts) == (1, 0, 0)


def test_a_request_is_told_what_its_threads_waited_for_and_held() -> None:
    limiter, spent = BlockingLimiter("p", 1), TimeSpent()
    first = limiter.acquire()

    def use() -> None:
        current.set(spent)
        limiter.release(limiter.acquire(30))

    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(use)
        wait_for(limiter, 1)
        limiter.release(first)
        second.result(30)
    assert [(step.kind, step.name) for step in spent.steps] == [(Kind.WAIT, "p"), (Kind.HOLD, "p")]
