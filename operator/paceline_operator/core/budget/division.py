"""Who gets how many of a server's connections: one at a time to the pool where it saves the most waiting.

Greedy marginal allocation, which is optimal for costs that fall ever more slowly (B. Fox, Operations Research 14,
1966): minimums first; then each step to the pool whose weighted number of waiting requests falls most for each
connection that the step costs; then what is left, by weight, as room for what the next minutes bring. What pools have
is not taken from them for a gain of less than 5 % of the whole wait, so that noise moves nothing.

Pure and quick: 200 pools in some milliseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from math import fsum
from typing import Final, TypeAlias

from paceline_operator.core.budget.curve import Demand, waiting

WORTH: Final = 0.05
"""The least share of the wait that a division must save to take from a pool what it has."""
NEGLIGIBLE: Final = 1e-3
"""Waiting requests, weighted: a step that saves less of them is no step."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One pool of one policy. Sizes are connections of one worker; `each` is what one more costs in all.

    A pool that only counts, or is pinned, has `minimum == current == maximum`.
    """

    name: str
    each: int
    """Worst-case pods × workers."""
    minimum: int
    maximum: int
    current: int
    weight: float = 1.0
    demand: Demand | None = None
    """None: nothing was measured, so nothing is known of what a step would save."""

    def clamped(self, size: int) -> int:
        """The size within the bounds."""
        return max(self.minimum, min(self.maximum, size))


@dataclass(frozen=True, slots=True)
class Division:
    """Connections a worker, by claim; `needed` is what the minimums take in all."""

    sizes: Mapping[str, int]
    needed: int
    waiting: float = 0.0
    """Requests that wait at any time, weighted, with these sizes."""
    moved: bool = False
    """Something was taken from a pool to serve another better."""


def divide(claims: Sequence[Claim], connections: int) -> Division:
    """The most useful division of so many connections. Minimums stand even where they do not fit."""
    ordered = tuple(sorted(claims, key=lambda claim: claim.name))
    least = {claim.name: claim.minimum for claim in ordered}
    needed = taken(ordered, least)
    curves = {claim.name: _curve(claim) for claim in ordered}
    if needed >= connections:
        return Division(least, needed, _waiting(curves, ordered, least))
    steps = sorted(chain.from_iterable(_steps(claim, curves[claim.name]) for claim in ordered))
    best = _filled(ordered, steps, least, connections)
    now = {claim.name: claim.clamped(claim.current) for claim in ordered}
    after = _waiting(curves, ordered, best)
    if taken(ordered, now) > connections:
        return Division(best, needed, after, moved=True)
    kept = _filled(ordered, steps, now, connections)
    before = _waiting(curves, ordered, kept)
    if after < (1 - WORTH) * before and before - after > NEGLIGIBLE:
        return Division(best, needed, after, moved=any(best[name] < now[name] for name in now))
    return Division(kept, needed, before)


def taken(claims: Sequence[Claim], sizes: Mapping[str, int]) -> int:
    """The connections that these sizes take in all, in the worst case."""
    return sum(claim.each * sizes[claim.name] for claim in claims)


_Step: TypeAlias = tuple[float, str, int, int]
"""What it saves for each connection, negative; the claim's name; the size that it leads to; what it costs. They sort in
the order in which they are taken, with ties by name, so that the order of the claims means nothing."""


def _curve(claim: Claim) -> Sequence[float]:
    """Waiting requests, weighted, from the minimum on, as far as a step saves anything worth it."""
    if claim.demand is None:
        return (0.0,)
    found = waiting(claim.demand, claim.minimum, claim.maximum, NEGLIGIBLE / claim.weight)
    return found if claim.weight == 1 else [claim.weight * value for value in found]


def _steps(claim: Claim, curve: Sequence[float]) -> list[_Step]:
    if not claim.each:
        return []
    # What rounding adds to a curve must not turn two steps around.
    saved = accumulate((here - there for here, there in pairwise(curve)), min)
    name, each, first = claim.name, claim.each, claim.minimum + 1
    return [(-gain / each, name, first + index, each) for index, gain in enumerate(saved) if gain >= NEGLIGIBLE]


def _filled(
    claims: Sequence[Claim], steps: Sequence[_Step], start: Mapping[str, int], connections: int
) -> dict[str, int]:
    """From `start` on, each step that fits; of a pool whose next step does not fit, none of the later ones."""
    sizes = dict(start)
    room = connections - taken(claims, sizes)
    for _, name, size, each in steps:
        if size == sizes[name] + 1 and each <= room:
            sizes[name] = size
            room -= each
    return _with_the_rest(claims, sizes, room)


def _with_the_rest(claims: Sequence[Claim], sizes: dict[str, int], room: int) -> dict[str, int]:
    """What nobody waits for goes by weight, in whole steps, until no step fits."""
    while wanting := [c for c in claims if 0 < c.each <= room and sizes[c.name] < c.maximum]:
        weights, share = sum(claim.weight for claim in wanting), room
        for claim in sorted(wanting, key=lambda claim: (-claim.weight, claim.name)):
            steps = max(1, int(share * claim.weight / weights / claim.each))
            steps = min(steps, claim.maximum - sizes[claim.name], room // claim.each)
            sizes[claim.name] += steps
            room -= steps * claim.each
    return sizes


def _waiting(curves: Mapping[str, Sequence[float]], claims: Sequence[Claim], sizes: Mapping[str, int]) -> float:
    """Past the end of a curve nothing is saved that counts."""
    return fsum(
        curves[claim.name][min(sizes[claim.name] - claim.minimum, len(curves[claim.name]) - 1)] for claim in claims
    )
