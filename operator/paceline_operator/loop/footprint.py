"""What the pods of one policy may open, by its stored document and by what they report. Pure."""

from collections.abc import Iterable

from paceline_operator.core.budget.ledger import Count
from paceline_operator.core.budget.worst_case import connections_per_pod
from paceline_operator.core.measure.pods import PodState
from paceline_operator.core.model.policy import Policy
from paceline_operator.core.model.tunables import WORKERS, Kind, Tunable, Values, pool
from paceline_operator.loop.gather import Gathered
from paceline_operator.loop.left_out import acked


def pools_of(policy: Policy, budget: str) -> frozenset[str]:
    """Names of the policy's pools that draw from a budget."""
    specs = policy.tunables.values()
    return frozenset(spec.tunable.name for spec in specs if spec.budget == budget and spec.tunable.kind is Kind.POOL)


def budgets_of(policy: Policy) -> tuple[str, ...]:
    """The budgets that it refers to."""
    return tuple(sorted({spec.budget for spec in policy.tunables.values() if spec.budget is not None}))


def per_pod(states: Iterable[PodState], pools: frozenset[str], given: Iterable[Values]) -> int | None:
    """The most that a pod may open which is given any of these values; None where a size is named nowhere.

    What values do not name has the pod's start value, and the largest of those counts.
    """
    start: dict[Tunable, float] = {}
    for state in states:
        for tunable, value in state.start_values.items():
            start[tunable] = max(value, start.get(tunable, 0.0))
    needed = {WORKERS, *map(pool, pools)}
    found = []
    for values in given:
        whole = {**start, **values}
        if not needed <= whole.keys():
            return None
        found.append(connections_per_pod(whole, pools))
    return max(found, default=None)


def stored_per_pod(gathered: Gathered, pools: frozenset[str]) -> int | None:
    """What the stored document lets a pod open; None without one, or where it does not say."""
    document = gathered.document
    if document is None:
        return None
    return per_pod(gathered.states.values(), pools, (document.values, *document.overrides.values()))


def running_per_pod(gathered: Gathered, pools: frozenset[str]) -> int | None:
    """The most that any pod which reports may open with what it runs."""
    states = gathered.states.values()
    return max((connections_per_pod(state.values, pools) for state in states), default=None)


def count_of(gathered: Gathered, pools: frozenset[str], pods: int) -> Count:
    """What is known of the pods: the largest of what they run, what they are told, and what they would start with."""
    stored, running = stored_per_pod(gathered, pools), running_per_pod(gathered, pools)
    starting = per_pod(gathered.states.values(), pools, [{}]) if gathered.document is None else None
    found = [each for each in (stored, running, starting) if each is not None]
    known = bool(found) and (stored is not None or gathered.document is None)
    return Count(
        pods=pods,
        per_pod=max(found) if known else None,
        generation=gathered.document.generation if gathered.document else 0,
        settled=known and _settled(gathered),
    )


def _settled(gathered: Gathered) -> bool:
    """Whether no pod may open more than what was read: all report, all have acked, nothing is on its way out."""
    workload, document = gathered.workload, gathered.document
    if workload.rolling_out or (document is None and gathered.stored.content is not None):
        return False
    if any(pod.terminating or pod.uid not in gathered.states for pod in workload.pods):
        return False
    states = gathered.states.values()
    if document is None:
        return not any(state.pending for state in states)
    return all(acked(state, document.generation) for state in states)
