"""`blocked`: how long a pass over 1,000 pods keeps the operator's event loop from its other tasks.

Probes, watches and the passes of other policies wait that long. Ours is the longest gap that a task sees which asks
for its turn each millisecond, theirs the same pass in one piece on the event loop.
"""

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from statistics import median
from typing import Final

import orjson
from paceline_operator.core.measure.pods import PodState
from paceline_operator.crd.document import build_document
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.ports import Pod
from paceline_operator.settings import OperatorSettings
from paceline_operator.telemetry.state import parse_state

from tests.benchmarks.effort import Effort
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores
from tests.benchmarks.thousand_pods import INTERVAL, PODS, SPEC, Bodies, pass_seconds
from tests.support.modelled_fleet import KEY, ModelledFleet

BENCH: Final = "fleet"
TURN_SECONDS: Final = 0.001
GOAL: Final = 4.0
"""What is left are full collections of Python's garbage collector, and setting free what a thousand pods reported."""


def run(effort: Effort, cores: Cores) -> Iterator[Row]:
    bodies = Bodies.of(PODS)
    ours, theirs = [], []
    for number in range(effort.pairs):
        print(f"{BENCH}: blocked {number + 1} of {effort.pairs} over {PODS} pods", file=sys.stderr)
        theirs.append(pass_seconds(bodies) * 1e3)
        ours.append(asyncio.run(longest_block_seconds(bodies)) * 1e3)
    metric = f"ms the longest block of the event loop over {PODS}"
    yield Row(BENCH, "a pass in one piece", metric, median(ours), median(theirs), median(theirs) / median(ours), GOAL)


class Answering(ModelledFleet):
    """A fleet whose pods answer what the bodies say, one after the other as at a scraper."""

    def __init__(self, bodies: Bodies) -> None:
        super().__init__(SPEC, pods=len(bodies.after))
        self.answers = bodies.before
        state = parse_state(orjson.loads(next(iter(self.answers.values()))))
        self.content, self.version = build_document(state.generation, state.values, str(KEY)), 1

    async def scrape(self, pods: Sequence[Pod]) -> Mapping[str, PodState]:
        states = {}
        for uid, body in self.answers.items():
            states[uid] = parse_state(orjson.loads(body))
            await asyncio.sleep(0)
        return states


async def longest_block_seconds(bodies: Bodies) -> float:
    """During the pass at the end of a window, with the decision and the wait for acks.

    Raises:
        RuntimeError: nothing was decided on all pods: then the measurement is worth nothing.
    """
    fleet = Answering(bodies)
    settings = OperatorSettings(ack_poll_seconds=0.001, ack_wait_seconds=0.002)
    reconciler = Reconciler(fleet, fleet, now=lambda: fleet.now, settings=settings, journal=lambda line: None)
    await reconciler.reconcile(KEY)
    fleet.now += INTERVAL + timedelta(seconds=1)
    fleet.answers = bodies.after
    watching = asyncio.create_task(_longest_gap(finished := asyncio.Event()))
    await reconciler.reconcile(KEY)
    finished.set()
    if fleet.status.get("observed", {}).get("coverage") != 1.0:
        raise RuntimeError(f"no decision on all {len(bodies.after)} pods: {fleet.status}")
    return await watching


async def _longest_gap(finished: asyncio.Event) -> float:
    longest = 0.0
    while not finished.is_set():
        asked = time.perf_counter()
        await asyncio.sleep(TURN_SECONDS)
        longest = max(longest, time.perf_counter() - asked - TURN_SECONDS)
    return longest
