"""The ledger of a budget: what each policy's pods may open at most, reserved before it is written.

A compare-and-set on each tuning document cannot hold a sum over several. So whoever writes a document that raises what
a pod may open has first reserved it here, in one object with one resource version; and an entry is lowered only once
the document stored is at least the one that the entry was raised for, so that a writer who sleeps between the two finds
its document changed, and once every pod has acked the lower one.

Worked example: `api` holds 12 and wants 16. It reserves 16 for generation 5, and dies. The entry stays 16 while the
stored document is generation 4. The next pass writes generation 5 with 12; the entry then falls to 12 with the acks,
and the dead writer, were it to wake, meets a conflict.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Entry:
    """What one policy's pods may open, all together, in the worst case."""

    per_pod: int
    pods: int
    generation: int = 0
    """Of the document that the entry was last raised for."""

    @property
    def total(self) -> int:
        return self.per_pod * self.pods


Ledger: TypeAlias = Mapping[str, Entry]
"""By `namespace/name` of the policy."""


@dataclass(frozen=True, slots=True)
class Count:
    """What was read of one policy's pods."""

    pods: int
    per_pod: int | None
    """The most that a pod may open, by the stored document and by what pods run; None where nobody can tell."""
    generation: int = 0
    """Of the stored document; 0 without one."""
    settled: bool = False
    """Every pod has acked the stored document and nothing is on its way out: none may open more than `per_pod`."""


class NoRoom(Exception):
    """The raise does not fit; the message says what is needed."""


def settled(entry: Entry | None, count: Count) -> Entry | None:
    """The entry after a look at the pods; None while nothing is known of them."""
    if entry is None:
        return None if count.per_pod is None else Entry(count.per_pod, count.pods, count.generation)
    if count.per_pod is None:
        return Entry(entry.per_pod, count.pods, entry.generation)
    if count.settled and count.generation >= entry.generation:
        return Entry(count.per_pod, count.pods, entry.generation)
    return Entry(max(entry.per_pod, count.per_pod), count.pods, entry.generation)


def total(entries: Iterable[Entry]) -> int:
    """Connections in all."""
    return sum(entry.total for entry in entries)


def reserved(ledger: Ledger, policy: str, wanted: Entry, connections: int) -> Ledger:
    """The ledger with what the policy is about to write for generation `wanted.generation`.

    What is no more than the entry has always fits: it widens nothing.

    Raises:
        NoRoom: the policy is not counted yet, or the sum would be above `connections`.
    """
    entry = ledger.get(policy)
    if entry is None:
        raise NoRoom(f"{policy} is not counted yet")
    raised = Entry(
        max(entry.per_pod, wanted.per_pod),
        max(entry.pods, wanted.pods),
        max(entry.generation, wanted.generation),
    )
    after = {**ledger, policy: raised}
    if raised.per_pod > entry.per_pod and (needed := total(after.values())) > connections:
        held = needed - raised.total
        raise NoRoom(f"{raised.total} for {policy} and {held} that others hold are {needed} of {connections}")
    return after
