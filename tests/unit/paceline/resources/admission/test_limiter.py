"""The limiter in closed loop with a worker that is played out request by request: no wall clock."""

import heapq
import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from paceline.document.tunables import AdmissionValues
from paceline.resources.admission.limiter import FEWEST_REQUESTS, Admission

SERVERS = 10
SECONDS = 0.050
CAPACITY = SERVERS / SECONDS
OBJECTIVE = 0.150


@dataclass
class Worker:
    """Ten requests at a time, 50 ms each, the others wait in line; requests come at random (Poisson)."""

    bounds: AdmissionValues | None
    now: float = 0.0
    answered: list[tuple[float, float]] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(7)
        self.admission = Admission(clock=lambda: self.now)
        self.admission.set_bounds(self.bounds)
        self._work: list[tuple[float, float]] = []
        self._line: deque[float] = deque()

    def play(self, requests_per_second: float, seconds: float) -> None:
        until, arrival = self.now + seconds, self.now
        while arrival < until:
            arrival += self.random.expovariate(requests_per_second)
            while self._work and self._work[0][0] <= arrival:
                self._finish()
            self.now = arrival
            self._arrive()
            self.limits.append(self.admission.room)

    def _arrive(self) -> None:
        began = self.admission.admit() if self.admission.on else self.now
        if began is not None:
            self._line.append(began)
            self._begin()

    def _finish(self) -> None:
        self.now, began = heapq.heappop(self._work)
        if self.admission.on:
            self.admission.finish(began, failed=False)
        self.answered.append((self.now, self.now - began))
        self._begin()

    def _begin(self) -> None:
        if self._line and len(self._work) < SERVERS:
            takes = self.random.gammavariate(10, SECONDS / 10)
            heapq.heappush(self._work, (self.now + takes, self._line.popleft()))

    def p90(self, since: float) -> float:
        durations = sorted(seconds for at, seconds in self.answered if at > since)
        return durations[int(0.9 * len(durations))]

    def responses_per_second(self, since: float) -> float:
        return sum(at > since for at, _ in self.answered) / (self.now - since)


@pytest.mark.parametrize("load", [1.5, 3.0])
def test_a_steady_overload_neither_ratchets_nor_starves(load: float) -> None:
    worker = Worker(AdmissionValues(2, 512, OBJECTIVE))
    worker.play(load * CAPACITY, 400)
    assert worker.p90(since=100) <= OBJECTIVE
    assert worker.responses_per_second(since=100) > 0.95 * CAPACITY
    later = worker.limits[len(worker.limits) // 2 :]
    assert SERVERS <= min(later) <= max(later) < 40, "of 512 allowed"
    unlimited = Worker(None)
    unlimited.play(load * CAPACITY, 100)
    assert unlimited.p90(since=50) > 10 * OBJECTIVE, "without a limit it would be lost"


def test_without_an_objective_it_does_not_ratchet_either() -> None:
    worker = Worker(AdmissionValues(2, 512))
    worker.play(0.5 * CAPACITY, 20)
    worker.play(3 * CAPACITY, 600)
    assert max(worker.limits[len(worker.limits) // 2 :]) < 64


def test_nobody_is_turned_away_below_capacity() -> None:
    worker = Worker(AdmissionValues(2, 512, OBJECTIVE))
    worker.play(0.7 * CAPACITY, 200)
    assert worker.admission.rejected == 0


def test_after_an_overload_everybody_is_admitted_again() -> None:
    worker = Worker(AdmissionValues(2, 512, OBJECTIVE))
    worker.play(3 * CAPACITY, 100)
    rejected = worker.admission.rejected
    assert rejected > 100 * CAPACITY
    worker.play(0.6 * CAPACITY, 30)
    again = worker.admission.rejected
    worker.play(0.6 * CAPACITY, 200)
    assert worker.admission.rejected - again < 0.001 * 200 * 0.6 * CAPACITY


def test_a_window_takes_a_second_and_fifty_answers() -> None:
    now = [0.0]
    admission = Admission(clock=lambda: now[0])
    admission.set_bounds(AdmissionValues(1, 100, p95_seconds=0.010))
    for _ in range(FEWEST_REQUESTS - 1):
        began = admission.admit()
        assert began is not None
        now[0] += 1.0
        admission.finish(began, failed=False)
    assert admission.room == 100
    began = admission.admit()
    assert began is not None
    now[0] += 1.0
    admission.finish(began, failed=False)
    assert admission.room == 90


def test_bounds_count_at_once_and_off_forgets() -> None:
    admission = Admission(clock=lambda: 0.0)
    assert admission.report() is None
    admission.set_bounds(AdmissionValues(1, 2))
    began = [admission.admit() for _ in range(3)]
    assert began == [0.0, 0.0, None]
    assert admission.report() == {
        "limit": 2, "min": 1, "max": 2, "inFlight": 2, "rejected": 1, "braked": 0, "reason": "start",
    }  # fmt: skip
    admission.set_bounds(AdmissionValues(4, 8))
    assert admission.room == 4, "grown into the new bounds, not to their end"
    admission.set_bounds(None)
    assert not admission.on
    for _ in range(2):
        admission.finish(0.0, failed=False)
    report = admission.report()
    assert report is not None
    assert (report["limit"], report["inFlight"], report["rejected"]) == (None, 0, 1), "what was counted stays"


def test_bounds_of_the_start_are_in_force_while_no_document_has_any() -> None:
    admission = Admission(start=AdmissionValues(1, 1))
    assert admission.on
    assert admission.admit() is not None
    assert admission.admit() is None
    admission.set_bounds(AdmissionValues(2, 4))
    assert admission.room == 2  # what it was, within the new bounds
    admission.set_bounds(None)
    assert admission.room == 1
    assert not Admission().on
