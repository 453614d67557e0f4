"""`make bench-budget`: workloads on one PostgreSQL of 40 connections, in the cluster of KUBECONFIG; eight minutes.

First within a ConnectionBudget: while values change, an autoscaler bursts, rollouts surge, the database is slow for
some seconds, the operator is dead for two minutes, and a workload joins. Then the same with fixed pools of 10.
`pg_stat_activity` is looked at some forty times a second. Ends with status 1 where the budget was broken or a request
failed.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from background_load import BackgroundLoad
from connection_samples import ConnectionSamples
from testcluster import connected, until

from tests.benchmarks.budget.fleet import (
    BILLING,
    DATABASE,
    FIXED,
    MAX_CONNECTIONS,
    NEAR_SECONDS,
    REPORTS,
    RESERVED,
    SEARCH,
    SHOP,
    Fleet,
    Workload,
    fleet,
    load,
)

ALLOWED: Final = MAX_CONNECTIONS - RESERVED
FAR_SECONDS: Final = 3.0
SLOW_SECONDS: Final = 4.0
GONE_SECONDS: Final = 120.0
ATTENTION_SECONDS: Final = 30.0
"""How long a workload is asked for more, so that connections follow."""
ALL: Final = (SHOP, SEARCH, REPORTS, BILLING)
LOCAL: Final = "127.0.0.1"
"""Probes: those that `reserved` is for."""


@dataclass
class Run:
    """One fleet under load."""

    fleet: Fleet
    seen: ConnectionSamples
    name: str
    phases: list[tuple[str, float, float]] = field(default_factory=list)
    succeeded: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    refused: int = 0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.time()
        try:
            yield
        finally:
            self.phases.append((name, began, time.time()))
            print(f"{self.name}: {name}, {time.time() - began:.0f} s; {_shares(self.fleet)}", file=sys.stderr)

    def slow_moment(self) -> None:
        self.fleet.distance(FAR_SECONDS)
        time.sleep(SLOW_SECONDS)
        self.fleet.distance(NEAR_SECONDS)
        time.sleep(FAR_SECONDS + SLOW_SECONDS)  # what has piled up

    def rolled_while_slow(self, workload: Workload) -> None:
        """Old pods drain with what they hold while new ones fill their pools."""
        with ThreadPoolExecutor(1) as threads:
            rolled = threads.submit(self.fleet.roll, workload)
            until(lambda: rolled.done() or self.fleet.ending(workload), 90, f"an old pod of {workload.name} ends")
            self.slow_moment()
            rolled.result()

    @contextmanager
    def under(self, asked: BackgroundLoad) -> Iterator[None]:
        """A load, whose requests count for the run."""
        try:
            with asked:
                yield
        finally:
            for summary in asked.summaries:
                self.succeeded += summary.total.succeeded
                self.failures.update(summary.total.failures)

    def totals(self, since: float, until: float) -> list[int]:
        """Connections of all pods together, look by look."""
        found, total = [], 0
        for sample in tuple(self.seen.samples):
            if sample.address:
                total += 0 if sample.address == LOCAL else sample.connections
            else:
                if since <= sample.time <= until:
                    found.append(total)
                total = 0
        return found


def _shares(fleet: Fleet) -> str:
    status = fleet.budget()
    if not status:
        return "no budget"
    members = (
        f"{each['policy'].partition('/')[2]} {each.get('counted')}×{each.get('perPod')}"
        for each in status.get("members", ())
    )
    return f"{status.get('worst')} of {status.get('connections')} at the worst: {', '.join(members)}"


def governed(run: Run) -> None:
    """Within the budget."""
    with run.under(load(SHOP, SEARCH, REPORTS)):
        with run.phase("values change: shop is asked for more"), run.under(load(SHOP, rate=15)):
            time.sleep(ATTENTION_SECONDS)
        with run.phase("values change: search is asked for more"), run.under(load(SEARCH, rate=12)):
            time.sleep(ATTENTION_SECONDS)
        with run.phase("burst 1→4"):
            run.fleet.burst(REPORTS)
        with run.phase("slow database"):
            run.slow_moment()
        with run.phase("rollout with surge, slow database"):
            run.rolled_while_slow(SHOP)
        with run.phase("the operator dead, a rollout, a slow database"):
            began = time.monotonic()
            run.fleet.kill_operator()
            run.rolled_while_slow(REPORTS)
            time.sleep(max(0.0, GONE_SECONDS - (time.monotonic() - began)))
        with run.phase("the operator back, a fourth workload joins"):
            run.fleet.start_operator()
            run.fleet.govern(BILLING)
            run.fleet.install(BILLING)
            with run.under(load(BILLING)):
                run.fleet.counted(SHOP, SEARCH, REPORTS, BILLING)
                run.slow_moment()


def fixed(run: Run) -> None:
    """Nobody divides."""
    with run.under(load(*ALL)):
        with run.phase("rollout to fixed pools"):
            run.fleet.ungovern(*ALL)
        with run.phase("slow database"):
            run.slow_moment()
        with run.phase("rollout with surge, slow database"):
            run.rolled_while_slow(SHOP)


def measured(fleet: Fleet, name: str, drive: Callable[[Run], None]) -> Run:
    """One fleet's run, with the samples that go with it."""
    before = fleet.refused()
    with ConnectionSamples(fleet.server.namespace, DATABASE) as seen:
        run = Run(fleet, seen, name)
        until(lambda: seen.looks(0) > 1, 60, "samples arrive")
        drive(run)
    run.refused = fleet.refused() - before
    print("\n".join(told(run)), end="\n\n", flush=True)
    return run


def told(run: Run) -> Iterator[str]:
    """What was seen, as lines of a table."""
    yield f"### {run.name}"
    yield ""
    yield "| while | seconds | looks a second | most connections | looks above the budget |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for name, began, ended in run.phases:
        totals, seconds = run.totals(began, ended), ended - began
        above = sum(total > ALLOWED for total in totals)
        yield f"| {name} | {seconds:.0f} | {len(totals) / seconds:.0f} | {max(totals, default=0)} | {above} |"
    failed = ", ".join(f"{count} × {kind}" for kind, count in run.failures.items()) or "0"
    yield ""
    yield f"requests: {run.succeeded} succeeded, failed: {failed}; connections refused: {run.refused}"


def main() -> int:
    began = time.monotonic()
    with connected() as cluster, fleet(cluster) as shared:
        print(f"installed after {time.monotonic() - began:.0f} s", file=sys.stderr)
        three = (SHOP, SEARCH, REPORTS)
        shared.install(*three)
        shared.govern(*three)
        shared.counted(*three)
        within = measured(shared, f"a ConnectionBudget of {ALLOWED}", governed)
        measured(shared, f"fixed pools of {FIXED}", fixed)
    print(f"{time.monotonic() - began:.0f} s in all", file=sys.stderr)
    first, last = within.phases[0][1], within.phases[-1][2]
    broken = max(within.totals(first, last)) > ALLOWED or within.refused or within.failures
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
