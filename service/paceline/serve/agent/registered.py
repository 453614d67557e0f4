"""What the application registered: start values and caps of its pools and caches, learnt from workers' reports.

Kept in the run folder, which outlives a crash of the container: so the next life knows them before its first worker has
reported, and the very first values it writes are right.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from paceline.document.model import Values
from paceline.document.tunables import REGISTERED, Section
from paceline.serve.rundir import RunDir, write_atomically


@dataclass(frozen=True, slots=True)
class Registered:
    """Pools and caches by name; `caps` are connections per worker."""

    start: Values = field(default_factory=Values)
    caps: Mapping[str, int] = field(default_factory=dict)

    def unknown(self, asked: Values) -> list[str]:
        """Names in a document that nothing is registered under."""
        return asked.unknown({each.name: getattr(self.start, each.name) for each in REGISTERED})

    def only_known(self, values: Values) -> Values:
        """The values without names that nothing is registered under."""
        known: dict[str, Any] = {
            each.name: each.only(getattr(values, each.name), getattr(self.start, each.name)) for each in REGISTERED
        }
        return replace(values, **known)


def learn(known: Registered, reports: Iterable[Mapping[str, Any]]) -> Registered:
    """Adds what reports say. A name stays known when a worker closes its pool: the next worker opens it again."""
    start: dict[str, Any] = {each.name: dict(getattr(known.start, each.name)) for each in REGISTERED}
    caps = dict(known.caps)
    for report in reports:
        for each in REGISTERED:
            start[each.name].update(_start_values(each, report["startValues"]))
        caps.update({name: pool["cap"] for name, pool in report["pools"].items()})
    return Registered(Values(**start), caps)


def _start_values(section: Section, wire: Mapping[str, Any]) -> Mapping[str, Any]:
    """Code may start with more than a document can ask for; what is written to workers must be readable there."""
    found = wire[section.name].items()
    return {name: min(section.read(value), section.largest, key=section.figure) for name, value in found}


def save(registered: Registered, run_dir: RunDir) -> None:
    """For the pod's next life."""
    wire = {"startValues": registered.start.to_json(), "caps": dict(registered.caps)}
    write_atomically(run_dir.registered, orjson.dumps(wire))


def load(run_dir: RunDir) -> Registered:
    """What the pod's last life knew; nothing where there was none or its file is of no use."""
    try:
        wire = orjson.loads(run_dir.registered.read_bytes())
        start: dict[str, Any] = {each.name: _start_values(each, wire["startValues"]) for each in REGISTERED}
        caps = {name: int(cap) for name, cap in wire["caps"].items()}
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        return Registered()
    return Registered(Values(**start), caps)
