"""What the database sees of one pod: never more connections than the larger of the old and the new total."""

import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from background_load import BackgroundLoad
from connection_samples import ConnectionSamples
from release import Pinned, Release
from testcluster import until

# Equal totals with other parts: adding workers before shrinking, or growing before removing, would show at once.
STEPS = [
    Pinned(workers=1, postgres=8, ttl_seconds=60),
    Pinned(workers=4, postgres=2, ttl_seconds=60),
    Pinned(workers=1, postgres=8, ttl_seconds=60),
    Pinned(workers=2, postgres=4, ttl_seconds=60),
    Pinned(workers=4, postgres=2, ttl_seconds=60),
    Pinned(workers=2, postgres=10, ttl_seconds=60),
    Pinned(workers=1, postgres=8, ttl_seconds=60),
]
LOOKS = 40
"""How often the database is looked at while new values are in force, a second's worth."""
REQUESTS_PER_SECOND = 120
"""Three quarters of what 2 pods with 8 connections carry at 0.1 s a query."""


def total(values: Pinned) -> int:
    return values.workers * values.postgres


@pytest.mark.invariant
def test_a_pods_connections_stay_within_the_larger_total(
    release: Release, api: str, say: Callable[[str], None]
) -> None:
    release.converge(STEPS[0])
    load = BackgroundLoad({f"{api}/products": REQUESTS_PER_SECOND})
    addresses = [pod["status"]["podIP"] for pod in release.pods()]
    stretches: list[tuple[Pinned, Pinned, float, float]] = []
    with load, ConnectionSamples(release.namespace, "paceline-postgresql") as seen:
        until(lambda: seen.looks(0) > 20, 60, "samples arrive")
        for old, new in pairwise(STEPS):
            began = time.time()
            release.converge(new)
            # Connections are opened when they are needed: give the new values traffic.
            in_force = time.time()
            until(lambda since=in_force: seen.looks(since) >= LOOKS, 60, "enough looks at the new values")
            stretches.append((old, new, began, time.time()))
    load.assert_nothing_failed()
    say(f"{seen.looks(0)} looks in all; {load}")
    for old, new, began, ended in stretches:
        allowed = max(total(old), total(new))
        largest = [seen.largest(address, began, ended) for address in addresses]
        say(f"{old.workers}×{old.postgres} → {new.workers}×{new.postgres}: at most {largest} of {allowed} allowed")
        assert max(largest) <= allowed
    assert max(seen.largest(address, 0, time.time()) for address in addresses) >= 6, "the load used no connections"
