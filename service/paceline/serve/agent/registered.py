"""What the application registered: start values and caps of its pools and caches, learnt from workers' reports.

Kept in the run folder, which outlives a crash of the container: so the next life knows them before its first worker has
reported, and the very first values it writes are right.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from paceline.document.model import LARGEST_VALUE, CacheValues, Values
from paceline.serve.rundir import RunDir, write_atomically


@dataclass(frozen=True, slots=True)
class Registered:
    """Pools and caches by name; `caps` are connections per worker."""

    start: Values = field(default_factory=Values)
    caps: Mapping[str, int] = field(default_factory=dict)

    def unknown(self, asked: Values) -> list[str]:
        """Names in a document that nothing is registered under."""
        return sorted((asked.pools.keys() - self.start.pools.keys()) | (asked.caches.keys() - self.start.caches.keys()))

    def only_known(self, values: Values) -> Values:
        """The values without names that nothing is registered under."""
        return Values(
            values.workers,
            {name: limit for name, limit in values.pools.items() if name in self.start.pools},
            {name: cache for name, cache in values.caches.items() if name in self.start.caches},
            values.admission,
        )


def learn(known: Registered, reports: Iterable[Mapping[str, Any]]) -> Registered:
    """Adds what reports say. A name stays known when a worker closes its pool: the next worker opens it again."""
    pools, caches, caps = dict(known.start.pools), dict(known.start.caches), dict(known.caps)
    for report in reports:
        start = report["startValues"]
        # Code may start with more than a document can ask for; what is written to workers must be readable there.
        pools.update({name: min(limit, LARGEST_VALUE) for name, limit in start["pools"].items()})
        caches.update(
            {name: CacheValues(min(cache["ttlSeconds"], LARGEST_VALUE)) for name, cache in start["caches"].items()}
        )
        caps.update({name: pool["cap"] for name, pool in report["pools"].items()})
    return Registered(Values(None, pools, caches), caps)


def save(registered: Registered, run_dir: RunDir) -> None:
    """For the pod's next life."""
    wire = {"startValues": registered.start.to_json(), "caps": dict(registered.caps)}
    write_atomically(run_dir.registered, orjson.dumps(wire))


def load(run_dir: RunDir) -> Registered:
    """What the pod's last life knew; nothing where there was none or its file is of no use."""
    try:
        wire = orjson.loads(run_dir.registered.read_bytes())
        start = wire["startValues"]
        caches = {name: CacheValues(float(cache["ttlSeconds"])) for name, cache in start["caches"].items()}
        pools = {name: int(limit) for name, limit in start["pools"].items()}
        caps = {name: int(cap) for name, cap in wire["caps"].items()}
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        return Registered()
    return Registered(Values(None, pools, caches), caps)
