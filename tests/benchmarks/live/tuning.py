"""The operator's own loop on one pod under load: what it did, what it ended with, what that cost the clients."""

import asyncio
import sys
from collections import Counter
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import uvloop
from paceline.load.openloop import OpenLoop
from paceline.load.results import Summary
from paceline.local import children, programs
from paceline.local.progress import Decision, parse_decision

from tests.benchmarks.live.service import LivePod, Setting

LAST_SHARE: Final = 1 / 3
"""Of the time, at the end of which the setting that was longest in force is the final one."""


@dataclass
class Tuning:
    """One run. `settings` are those in force, with the second since when."""

    start: Setting
    settings: list[tuple[float, Setting]] = field(default_factory=list)
    unsafe: int = 0
    lost: int = 0
    seconds: float = 0.0

    def decided(self, at: float, decision: Decision) -> None:
        """A line of the operator."""
        if not decision.changes:
            return
        setting = Setting(int(decision.values["workers"]), int(decision.values["pools"]["postgres"]))
        if self.settings[-1][1] == setting:
            return  # the same change, acked
        self.settings.append((at, setting))
        self.unsafe += not setting.allowed
        print(f"  {at:5.1f} s  {setting}  {decision.reason}: {decision.message}", file=sys.stderr, flush=True)

    @property
    def final(self) -> Setting:
        """A probe at the end is not what it ended with."""
        since = self.seconds * (1 - LAST_SHARE)
        held: Counter[Setting] = Counter()
        ends = [at for at, _ in self.settings[1:]] + [self.seconds]
        for (at, setting), end in zip(self.settings, ends, strict=True):
            held[setting] += max(0, round((end - max(at, since)) * 1e3))
        return held.most_common(1)[0][0]


def tune(pod: LivePod, start: Setting, seconds: float, seed: int) -> Tuning:
    """Runs the operator on the pod for as long as the load lasts.

    Raises:
        PacelineError: the operator ended.
    """
    tuning = Tuning(start, [(0.0, start)])
    print(f"from {start}, {seconds:.0f} s", file=sys.stderr, flush=True)
    summary = uvloop.run(_run(pod, tuning, seconds, seed))
    tuning.lost, tuning.seconds = summary.total.failed, seconds
    if summary.total.failures:
        print(f"  lost: {summary.total.failures}", file=sys.stderr, flush=True)
    return tuning


async def _run(pod: LivePod, tuning: Tuning, seconds: float, seed: int) -> Summary:
    started = monotonic()

    def take(line: bytes) -> None:
        decision = parse_decision(line)
        if decision is not None:
            tuning.decided(monotonic() - started, decision)

    async with children.running(programs.operator(pod.workspace, take)) as operator:
        load = asyncio.create_task(OpenLoop(pod.plan(seconds, seed)).run())
        await asyncio.wait({load, operator.ended}, return_when=asyncio.FIRST_COMPLETED)
        if operator.ended.done():
            raise operator.failure()
        return await load
