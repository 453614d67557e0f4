"""What a budget comes to: who holds what, who may have what, and whether all of it fits. Composes the other modules."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from paceline_operator.core.budget.curve import Demand
from paceline_operator.core.budget.division import Claim, Division, divide
from paceline_operator.core.budget.ledger import Count, Entry, Ledger, settled, total
from paceline_operator.core.budget.worst_case import WorstCase
from paceline_operator.core.model.policy import Bounds


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool of a member as its pods run it."""

    name: str
    workers: int
    limit: int
    """Connections of one worker."""
    bounds: Bounds | None = None
    """None: it only counts, or its size is pinned."""
    weight: float = 1.0
    demand: Demand | None = None
    used: int = 0
    """Connections open now, in all pods."""


@dataclass(frozen=True, slots=True)
class Member:
    """One policy that refers to the budget, and what was read of its pods."""

    policy: str
    worst: WorstCase
    count: Count
    pools: tuple[Pool, ...] = ()
    movable: bool = False
    """Its values may be changed: mode Auto, and not paused."""
    unseen: str = ""
    """Why what its pods may open cannot be told; empty where it can."""


@dataclass(frozen=True, slots=True)
class Account:
    """All of it. A member that nobody has seen yet is in no ledger and has no share."""

    connections: int
    ledger: Ledger
    shares: Mapping[str, int]
    """Connections in all that each member may have in the worst case, by policy."""
    needed: int
    """What the minimums, and what cannot be moved, take in all."""
    unseen: Mapping[str, str]
    """Members that cannot be counted, and why."""
    waiting: tuple[str, ...] = ()
    """Members whose reservation is above what their stored document asks for, or whose pods have not all acked."""
    moved: bool = False

    @property
    def worst(self) -> int:
        """Connections that may be open at the worst."""
        return total(self.ledger.values())

    @property
    def within(self) -> bool:
        """Whether the worst case is known, and fits."""
        return not self.unseen and self.worst <= self.connections


def account(connections: int, members: Sequence[Member], before: Ledger) -> Account:
    """The ledger after a look at all members, and what each may have.

    Members of which nothing is known are in the ledger only if they were; nothing is granted on their behalf.
    """
    ledger = {member.policy: entry for member in members if (entry := settled(before.get(member.policy), member.count))}
    known = [member for member in members if member.policy in ledger]
    movable = [member for member in known if member.movable and member.count.per_pod is not None]
    fixed = total(ledger[member.policy] for member in known if member not in movable)
    claims = {member.policy: tuple(_claims(member)) for member in movable}
    division = divide([claim for each in claims.values() for claim in each], connections - fixed)
    shares = {member.policy: ledger[member.policy].total for member in known}
    shares |= {policy: _share(each, division) for policy, each in claims.items()}
    return Account(
        connections=connections,
        ledger=ledger,
        shares=shares,
        needed=fixed + division.needed,
        unseen={member.policy: member.unseen for member in members if member.policy not in ledger},
        waiting=tuple(member.policy for member in known if not _at_rest(member, ledger[member.policy])),
        moved=division.moved,
    )


def _claims(member: Member) -> Iterator[Claim]:
    for pool in member.pools:
        least, most = (pool.bounds.minimum, pool.bounds.maximum) if pool.bounds else (pool.limit, pool.limit)
        yield Claim(
            name=f"{member.policy} {pool.name}",
            each=member.worst.pods * pool.workers,
            minimum=int(least),
            maximum=int(most),
            current=pool.limit,
            weight=pool.weight,
            demand=pool.demand,
        )


def _share(claims: Sequence[Claim], division: Division) -> int:
    return sum(claim.each * division.sizes[claim.name] for claim in claims)


def _at_rest(member: Member, entry: Entry) -> bool:
    return member.count.settled and member.count.per_pod == entry.per_pod
