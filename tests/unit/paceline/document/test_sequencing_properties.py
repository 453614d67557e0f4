"""The safety heart against random interleavings: the total never exceeds the larger one, and it ends as wanted.

Agent, arbiter and workers each act, or do not, in each round, and no faster than the example's pace; what the agent
decides reaches the files later, and it may be killed between any two of its writes; connections are taken greedily and
held at will.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from random import Random

import orjson
import pytest
from examples import examples
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from paceline.document.adoption import DesiredState
from paceline.document.bounds import CompleteValues
from paceline.document.model import Values
from paceline.document.pod import Memory, PodSnapshot, PoolUse, Worker
from paceline.document.reloading import reload_target
from paceline.document.resuming import Saved, catch_up, parse_saved, unreported
from paceline.document.sequencing import SETTLE_SECONDS, advance, begin, follow, pending

POOLS = ("postgres", "redis")
PLENTY = Memory(None, 0, 0)
DEADLINE_SECONDS = 3.0

some_values = st.builds(
    CompleteValues,
    workers=st.integers(1, 5),
    pools=st.fixed_dictionaries({name: st.integers(1, 8) for name in POOLS}),
)


@dataclass
class Process:
    """A worker as it truly is; the agent knows only `report`."""

    pid: int
    step: int = 0
    limits: dict[str, int] = field(default_factory=dict)
    in_use: dict[str, int] = field(default_factory=lambda: dict.fromkeys(POOLS, 0))
    draining: bool = False
    report: Worker | None = None

    def held(self, pool: str) -> int:
        return max(self.limits.get(pool, 0), self.in_use[pool])

    def write_report(self, now: float) -> None:
        use = {name: PoolUse(number, number) for name, number in self.in_use.items()}
        ready = self.step > 0 and not self.draining
        self.report = Worker(self.pid, self.step, now, ready=ready, draining=self.draining, pools=use)


class Pod:
    """What exists, beside what the agent believes."""

    def __init__(self, start: CompleteValues, chance: Random) -> None:
        self.chance = chance
        self.pace = chance.choice([0.1, 0.4, 0.8])
        self.former: set[int] = set()
        self.room = chance.random() < 0.7
        self.danger = chance.choice([0.0, 0.02, 0.2])
        self.drain_pace = chance.choice([0.03, 0.3])
        self.now = 0.0
        self.asked = {0: start}
        self.totals_of = [start]
        self.progress = begin(DesiredState(0, Values()), start, workers=start.workers, step=1, now=self.now)
        self.saved = self.files = self.counted = self.progress
        self.due = inf
        self.resumed_at: float | None = None
        self.followed = self.saved_followed = 0
        self.count_read = start.workers
        self.processes: list[Process] = []
        self.pids = 0
        self.calm(rounds=1)

    def wanted(self) -> CompleteValues:
        granted = self.asked[self.progress.desired.generation]
        return reload_target(granted, self.former_left(), self.reported(), room=self.room)

    def former_left(self) -> list[int]:
        return [worker.pid for worker in self.reported() if worker.pid in self.former]

    def reloads(self) -> None:
        """From now on workers start with new code."""
        self.former = {process.pid for process in self.processes}

    def reported(self) -> list[Worker]:
        return [process.report for process in self.processes if process.report is not None]

    def left(self) -> list[str]:
        return self.unreported() + pending(self.progress, self.wanted(), self.snapshot())

    def unreported(self) -> list[str]:
        return [] if self.resumed_at is None else unreported(self.reported(), self.resumed_at)

    def snapshot(self) -> PodSnapshot:
        return PodSnapshot(self.reported(), PLENTY, self.now, DEADLINE_SECONDS)

    def operator_writes(self, values: CompleteValues) -> None:
        generation = len(self.asked)
        self.asked[generation] = values
        self.totals_of.append(values)
        if self.resumed_at is None:
            self.agent_reads()

    def agent_reads(self) -> None:
        if self.followed < len(self.asked) - 1:
            self.followed = len(self.asked) - 1
            self.progress = follow(self.progress, DesiredState(self.followed, Values()), now=self.now)

    def agent_is_killed(self) -> None:
        """At any moment: between deciding and saving, saving and writing values, values and the count."""
        wire = orjson.loads(orjson.dumps(Saved(self.saved, self.saved.desired, served=True, applied=None).to_json()))
        self.saved = self.progress = parse_saved(wire).progress
        self.followed = self.saved_followed
        self.resumed_at = self.now

    def agent_decides(self) -> None:
        if not self.is_written() and self.resumed_at is None:
            return
        if self.unreported():
            return
        self.resumed_at = None
        self.progress = catch_up(self.progress, step=self.files.step, workers=self.counted.workers, now=self.now)
        self.agent_reads()
        self.progress = advance(self.progress, self.wanted(), self.snapshot())
        if not self.is_written():
            self.due = min(self.due, self.now + SETTLE_SECONDS)
        if not (self.left() or self.former_left()):
            self.totals_of = [self.wanted()]

    def is_written(self) -> bool:
        return (self.files.step, self.counted.workers) == (self.progress.step, self.progress.workers)

    def agent_writes(self) -> None:
        """The next of the three writes of a pass."""
        if self.resumed_at is not None:
            return
        if self.saved is not self.progress:
            self.saved, self.saved_followed = self.progress, self.followed
        elif self.files.step != self.progress.step:
            self.files = self.progress
        else:
            self.counted = self.progress

    def arbiter_reads(self) -> None:
        self.count_read = self.counted.workers

    def arbiter_acts(self) -> None:
        while len(self.processes) < self.count_read:
            self.pids += 1
            self.processes.append(Process(self.pids))
        for process in self.processes[: len(self.processes) - self.count_read]:
            process.draining = True

    def worker_acts(self, process: Process) -> None:
        if process.report is None:
            process.write_report(self.now)
        elif self.chance.random() < self.pace:
            process.step, process.limits = self.files.step, dict(self.files.values.pools)
        for pool in POOLS:
            most = max(process.limits.get(pool, 0), process.in_use[pool])
            process.in_use[pool] = most if self.chance.random() < 0.6 else self.chance.randint(0, most)
        if process.step and self.chance.random() < self.pace:
            process.write_report(self.now)

    def round(self) -> None:
        """Each acts or does not, in any order."""
        if self.chance.random() < self.danger:
            self.agent_is_killed()
        actors = [self.agent_decides, self.agent_writes, self.agent_writes, self.arbiter_reads, self.arbiter_acts]
        actors += [lambda process=process: self.worker_acts(process) for process in self.processes]
        self.chance.shuffle(actors)
        for act in actors[: self.chance.randint(0, len(actors))]:
            act()
            self.check()
        self.processes = [process for process in self.processes if not self.goes(process)]
        self.now += self.chance.choice([0.02, 0.1, 0.4])
        if self.now >= self.due:
            self.what_is_assumed_after_a_second()
        self.check()

    def goes(self, process: Process) -> bool:
        return self.chance.random() < (self.drain_pace if process.draining else 0.01)

    def what_is_assumed_after_a_second(self) -> None:
        self.due = inf
        for _ in range(3):
            self.agent_writes()
        self.arbiter_reads()
        self.arbiter_acts()
        for process in self.processes:
            if process.report is None:
                process.write_report(self.now)

    def calm(self, *, rounds: int) -> None:
        """Nothing blocks any more, and everybody acts."""
        for _ in range(rounds):
            self.agent_decides()
            for _ in range(3):
                self.agent_writes()
            self.arbiter_reads()
            self.arbiter_acts()
            self.processes = [process for process in self.processes if not process.draining]
            for process in self.processes:
                process.step, process.limits = self.files.step, dict(self.files.values.pools)
                process.in_use = {name: min(number, process.limits[name]) for name, number in process.in_use.items()}
                process.write_report(self.now)
            self.check()
            self.now += 0.1

    def check(self) -> None:
        for pool in POOLS:
            total = sum(process.held(pool) for process in self.processes)
            allowed = max(values.workers * values.pools[pool] for values in self.totals_of)
            assert total <= allowed, f"{pool}: {total} of at most {allowed} after {self.now:.2f} s"


# No shrinking: a smaller seed is no simpler story.
@pytest.mark.invariant
@pytest.mark.fuzz
@settings(max_examples=examples(300), deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(start=some_values, goals=st.lists(some_values, min_size=1, max_size=3), seed=st.integers(0, 2**32))
def test_the_total_never_exceeds_the_larger_one_and_it_ends_as_wanted(
    start: CompleteValues, goals: Sequence[CompleteValues], seed: int
) -> None:
    chance = Random(seed)
    pod = Pod(start, chance)
    for values in goals:
        pod.operator_writes(values)
        if chance.random() < 0.5:
            pod.reloads()
        for _ in range(chance.randint(1, 60)):
            pod.round()
    pod.calm(rounds=250)
    assert not pod.left()
    assert not pod.former_left(), "every worker runs the new code"
    wanted = pod.wanted()
    assert [process.limits for process in pod.processes] == [wanted.pools] * wanted.workers
    assert pod.progress.desired.generation == len(goals) or pod.progress.blocked
