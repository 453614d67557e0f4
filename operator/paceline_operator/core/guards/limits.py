"""What may hold or cap one proposal: an ordered tuple of small named checks, each with a reason and a sentence.

Each takes the proposal as the one before left it. Adding a rule: one function, one line in the tuple, one row in the
table test.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final, TypeAlias

from paceline_operator.core.guards.gates import Hold, first_of
from paceline_operator.core.guards.growth import enough
from paceline_operator.core.laws.constraints import budgeted, fitted, useful_workers, within_budgets
from paceline_operator.core.laws.contention import endangers
from paceline_operator.core.laws.recommend import Proposal, carried_pools
from paceline_operator.core.model.decision import Change, Reason, apply_changes, differences
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.tunables import WORKERS, Kind, Values, Verdict, in_a_pod, with_workers
from paceline_operator.core.situation.doubts import doubt_of
from paceline_operator.core.situation.experience import load_of, same_load
from paceline_operator.core.situation.memory import Rejected
from paceline_operator.core.situation.situation import Situation

TURNED_AWAY: Final = 0.001
"""Share of the requests; a burst now and then may be turned away."""
TRUSTED: Final = 0.5
"""The least share of a promised gain that must have been seen for more of the same to be tried without a model."""
GIVING_BACK: Final = frozenset({Reason.WORKERS_OVERSIZED, Reason.POOL_OVERSIZED})
TRY_NEXT: Final = frozenset(
    {
        Reason.PINNED_BY_SPEC,
        Reason.WITHIN_TOLERANCE,
        Reason.AT_MAXIMUM,
        Reason.CLAMPED,
        Reason.UNREGISTERED_POOL,
        Reason.STREAMS_ONLY,
    }
)
"""Holds that stop one lever; what the next finding asks for may still help."""

Limit: TypeAlias = Callable[[Situation, Proposal], Proposal | Hold]


def within_tolerance(situation: Situation, proposal: Proposal) -> Proposal | Hold:
    """A signal that is over its threshold by no more than the tolerance is left alone."""
    tolerance = situation.policy.behavior.tolerance
    if proposal.finding.severity > 1 + tolerance:
        return proposal
    return Hold(Reason.WITHIN_TOLERANCE, f"{proposal.finding.evidence}: within the tolerance of {tolerance:.0%}")


def pinned_by_spec(situation: Situation, proposal: Proposal) -> Proposal | Hold:
    """The policy gives the value, or does not name the tunable: never touched either way."""
    tunable = proposal.lever.tunable
    spec = situation.policy.tunables.get(tunable)
    if spec is not None and spec.bounds is not None:
        return proposal
    why = "is not named in the policy" if spec is None else "is pinned by the policy"
    return Hold(Reason.PINNED_BY_SPEC, f"{proposal.finding.evidence}; {tunable} {why}")


def unregistered_pool(situation: Situation, proposal: Proposal) -> Proposal | Hold:
    """One more worker multiplies a pool that nobody limits."""
    addresses = situation.fleet.unregistered
    if not addresses or proposal.lever.tunable != WORKERS:
        return proposal
    way = "tune.pool() it, or name it in PACELINE_UNPOOLED"
    message = f"connections to {first_of(addresses)} belong to no registered pool: {way}"
    return Hold(Reason.UNREGISTERED_POOL, f"{proposal.finding.evidence}; {message}")


def streams_stay(situation: Situation, proposal: Proposal) -> Proposal | Hold:
    """A stream stays on the worker that took it, until it ends."""
    seen, least = situation.observation, situation.policy.behavior.min_samples
    if seen is None or not seen.streaming or not (seen.by_waits or seen.requests < least):
        return proposal
    if all(change.tunable != WORKERS for change in proposal.changes):
        return proposal
    message = f"with {seen.open} streams open, adding a worker would not relieve the others"
    told = f"{message}, and removing one would end some streams: workers stay"
    return Hold(Reason.STREAMS_ONLY, f"{proposal.finding.evidence}; {told}")


def clamped(situation: Situation, proposal: Proposal) -> Proposal | Hold:
    """Pods already grant less than asked: asking for more is idle."""
    why = situation.fleet.clamped.get(proposal.lever.tunable)
    if why is None or not _grows(proposal.lever):
        return proposal
    return Hold(Reason.CLAMPED, f"{proposal.finding.evidence}; pods clamp {proposal.lever.tunable}: {why}")


def at_maximum(situation: Situation, proposal: Proposal) -> Proposal | Hold:
    """Caps the lever to the policy's bounds and to what the pool's constructor allows."""
    lever = proposal.lever
    allowed = situation.policy.tunables[lever.tunable].allowed(lever.new)
    if lever.tunable.kind is Kind.POOL and situation.observation is not None:
        allowed = min(allowed, max(situation.observation.pools[lever.tunable.name].cap, 1))
    if lever.tunable == WORKERS and _grows(lever):
        allowed = min(allowed, useful_workers(situation))
    if lever.old is not None and (allowed > lever.old if _grows(lever) else allowed < lever.old):
        return replace(proposal, changes=(replace(lever, new=allowed), *proposal.changes[1:]))
    limit = "maximum" if _grows(lever) else "minimum"
    return Hold(
        Reason.AT_MAXIMUM if _grows(lever) else Reason.WITHIN_TOLERANCE,
        f"{proposal.finding.evidence}; {lever.tunable} is at its {limit} of {lever.tunable.describe(allowed)}",
    )


def carry_pools(situation: Situation, proposal: Proposal) -> Proposal | Hold:
    """Workers take their pools along, so that totals stay what they were or what is needed. The law of crowded
    databases has sized them already."""
    observation, objective = situation.observation, situation.policy.objective
    sized = proposal.predicted or proposal.finding.reason is Reason.DATABASE_SATURATED
    if sized or proposal.lever.tunable != WORKERS or observation is None or objective is None:
        return proposal
    carried = carried_pools(situation, observation, objective, proposal.lever)
    return replace(proposal, changes=(proposal.lever, *carried))


def budget_not_found(situation: Situation, proposal: Proposal) -> Proposal | Hold:
    """A pool whose budget cannot be read never grows in total, neither by itself nor with the workers."""
    after = apply_changes(situation.values, proposal.changes)
    for spec in situation.policy.tunables.values():
        if spec.budget is None or spec.budget in situation.budgets or spec.tunable not in situation.values:
            continue
        now, then = (values[spec.tunable] * values.get(WORKERS, 1) for values in (situation.values, after))
        if then > now:
            return Hold(
                Reason.BUDGET_NOT_FOUND,
                f"{proposal.finding.evidence}; {spec.tunable} would grow from {now:g} to {then:g} connections a pod, "
                f"and there is no ConnectionBudget {spec.budget}",
            )
    return proposal


def within_budget(situation: Situation, proposal: Proposal) -> Proposal | Hold:
    """What would break a ConnectionBudget in the worst case is cut, pools before workers."""
    after = apply_changes(situation.values, proposal.changes)
    if within_budgets(situation, after):
        return proposal
    least = situation.values.get(WORKERS, 1.0)
    workers = after.get(WORKERS, 1.0)
    pools = {t: v for t, v in after.items() if t.kind is Kind.POOL}
    while workers >= least:
        sizes = fitted(situation, pools, workers)
        values = None if sizes is None else {**with_workers(after, workers), **sizes}
        if values is not None and values != dict(situation.values):
            return replace(proposal, changes=differences(situation.values, values))
        workers -= 1
    names = ", ".join(name for name, _ in budgeted(situation))
    return Hold(Reason.BUDGET_EXHAUSTED, f"{proposal.finding.evidence}; ConnectionBudget {names} has no room for it")


def drowned_before(situation: Situation, proposal: Proposal) -> Proposal | Hold:
    """A database that has drowned does not get more connections than it bears. The model knows by itself."""
    after = apply_changes(situation.values, proposal.changes)
    if proposal.predicted or not endangers(situation, after):
        return proposal
    now, then = (_connections(values) for values in (situation.values, after))
    if all(then[name] <= now[name] for name in then):
        return proposal
    message = f"{proposal.finding.evidence}; {_listed(proposal.changes)} is more than the database bore before"
    return Hold(Reason.DATABASE_SATURATED, message)


def _connections(values: Values) -> dict[str, float]:
    """Of a pod, by pool."""
    return {t.name: size * values.get(WORKERS, 1.0) for t, size in values.items() if t.kind is Kind.POOL}


def pods_missing(situation: Situation, proposal: Proposal) -> Proposal | Hold:
    """What nobody reports may need what it has: nothing shrinks while more than a tenth of the pods is silent."""
    observation, fleet = situation.observation, situation.fleet
    if observation is None or fleet.may_shrink(observation.pods + observation.left_out):
        return proposal
    after = apply_changes(situation.values, proposal.changes)
    if not _shrinks(situation.values, after):
        return proposal
    seen = observation.pods + observation.left_out
    message = f"{proposal.finding.evidence}; {seen} of {fleet.total} pods report, too few to shrink"
    return Hold(Reason.INSUFFICIENT_TELEMETRY, message)


def requests_turned_away(situation: Situation, proposal: Proposal) -> Proposal | Hold:
    """What was turned away used nothing: that workers or connections seem too many is no reason to give some back."""
    observation = situation.observation
    if observation is None or proposal.finding.reason not in GIVING_BACK:
        return proposal
    refused = observation.turned_away
    if refused <= TURNED_AWAY * observation.requests:
        return proposal
    return Hold(
        Reason.REQUESTS_TURNED_AWAY,
        f"{proposal.finding.evidence}; {refused} requests were turned away, and nothing shrinks while that is so",
    )


def _shrinks(before: Values, after: Values) -> bool:
    """Workers, or what a pod has of connections and the like."""
    sized = [tunable for tunable in before if tunable.descriptor.verdict is Verdict.MUST_GAIN]
    return any(in_a_pod(after, tunable) < in_a_pod(before, tunable) for tunable in sized)


def recently_rejected(situation: Situation, proposal: Proposal) -> Proposal | Hold:
    """Values that were rolled back or outgrown are not tried again for a while. The model knows by itself."""
    if proposal.predicted:
        return proposal
    after = apply_changes(situation.values, proposal.changes)
    for rejected in situation.memory.rejected:
        if _tuned(rejected.values) == _tuned(after) and _holds(situation, rejected):
            wait = format_duration(rejected.until - situation.now)
            return Hold(
                Reason.COOLING_DOWN,
                f"{proposal.finding.evidence}; {_listed(proposal.changes)} did not do before, not again for {wait}",
            )
    return proposal


def _holds(situation: Situation, rejected: Rejected) -> bool:
    """What was rolled back may do under another load, or for other pods."""
    if rejected.template and rejected.template != situation.fleet.template:
        return False
    now = load_of(situation.observation) if situation.observation else rejected.load
    return situation.now < rejected.until and (not rejected.load or same_load(rejected.load, now))


def gained_nothing(situation: Situation, proposal: Proposal) -> Proposal | Hold:
    """More of what gained next to nothing is not tried under such a load. The model knows by itself."""
    doubt = doubt_of(situation, proposal.lever.tunable)
    if proposal.predicted or doubt is None or doubt.seen >= TRUSTED or not _grows(proposal.lever):
        return proposal
    wait = format_duration(doubt.until - situation.now)
    message = f"more of {proposal.lever.tunable} gained nothing under such a load, not again for {wait}"
    return Hold(Reason.COOLING_DOWN, f"{proposal.finding.evidence}; {message}")


def _tuned(values: Values) -> Values:
    """Without what moves by itself and is never judged."""
    return {t: value for t, value in values.items() if t.descriptor.verdict is not Verdict.NONE}


def cooling_down(situation: Situation, proposal: Proposal) -> Proposal | Hold:
    behavior = situation.policy.behavior
    if not situation.memory.changes or situation.short:
        return proposal  # a service that is swamped does not get calmer by waiting
    wait = max(situation.memory.changes) + behavior.cooldown - situation.now
    if wait <= timedelta():
        return proposal
    return Hold(
        Reason.COOLING_DOWN, f"{proposal.finding.evidence}; next change in {format_duration(wait)} at the earliest"
    )


def change_rate(situation: Situation, proposal: Proposal) -> Proposal | Hold:
    limit = situation.policy.behavior.max_changes_per_hour
    recent = [time for time in situation.memory.changes if situation.now - time < timedelta(hours=1)]
    if len(recent) < limit:
        return proposal
    return Hold(Reason.COOLING_DOWN, f"{proposal.finding.evidence}; {len(recent)} changes within the last hour")


LIMITS: Final[tuple[Limit, ...]] = (
    pinned_by_spec,
    within_tolerance,
    unregistered_pool,
    streams_stay,
    clamped,
    at_maximum,
    carry_pools,
    budget_not_found,
    within_budget,
    drowned_before,
    pods_missing,
    requests_turned_away,
    recently_rejected,
    gained_nothing,
    cooling_down,
    change_rate,
    enough,
)


def _grows(change: Change) -> bool:
    return change.old is not None and change.new > change.old


def _listed(changes: tuple[Change, ...]) -> str:
    return ", ".join(map(str, changes))
