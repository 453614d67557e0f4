"""Which pods are not counted on, by name and with the reason: one broken pod stops nothing, and does not go unsaid."""

from collections.abc import Iterator, Mapping
from typing import Final

from paceline_operator.core.measure.pods import PodState
from paceline_operator.core.situation.situation import LeftOut
from paceline_operator.crd.conditions import FOREIGN, NOT_MOUNTED
from paceline_operator.ports import Pod, Trouble, Workload

UNACKED: Final = "NotConverged"
_NO_PORT: Final = Trouble("NotReporting", "it has no port named paceline, or no address yet")
_SEEN_BY_REPORTING: Final = frozenset({"command", "port", "management", "address"})
"""Clauses that a pod which reports has kept, whatever its manifest shows: an image has variables of its own."""
_UNKNOWN: Final = Trouble("Silent", "no report from /state")


def left_out(
    workload: Workload, states: Mapping[str, PodState], troubles: Mapping[str, Trouble], generation: int
) -> tuple[LeftOut, ...]:
    """The pods of the target that do not report or have not acked the generation; then strangers with its labels."""
    return (*_members(workload, states, troubles, generation), *_strangers(workload))


def _members(
    workload: Workload, states: Mapping[str, PodState], troubles: Mapping[str, Trouble], generation: int
) -> Iterator[LeftOut]:
    for pod in workload.staying:
        state = states.get(pod.uid)
        if state is None:
            found = _why_silent(pod, troubles)
        elif acked(state, generation):
            continue
        else:
            found = _why_behind(workload, pod, state, generation)
        yield LeftOut(pod.name, found.reason, found.message)


def _strangers(workload: Workload) -> Iterator[LeftOut]:
    for name, owner in workload.strangers.items():
        yield LeftOut(name, FOREIGN, f"{owner}; its labels are those of {workload.kind} {workload.name}")


def _why_silent(pod: Pod, troubles: Mapping[str, Trouble]) -> Trouble:
    if pod.trouble is not None:
        return pod.trouble
    return troubles.get(pod.uid, _NO_PORT if pod.state_url is None else _UNKNOWN)


def _why_behind(workload: Workload, pod: Pod, state: PodState, generation: int) -> Trouble:
    document = workload.document_name
    if pod.documents is not None and document not in pod.documents:
        mounted = ", ".join(pod.documents) or "none"
        hint = f"the tuning document is ConfigMap {document}, and the pod mounts {mounted}: mount {document}, optional"
        return Trouble(NOT_MOUNTED, hint)
    if state.refused_reason:
        return Trouble(state.refused_reason, state.refused_message or "it refuses the document")
    if state.pending:
        return Trouble(UNACKED, f"not done with generation {generation}: {state.pending[0]}")
    return Trouble(UNACKED, f"it runs generation {state.generation} and not {generation}")


def acked(state: PodState, generation: int) -> bool:
    """Every live worker of the pod runs the generation, and nothing is left to do."""
    return state.generation == generation and not state.pending


def lacks(workload: Workload, states: Mapping[str, PodState]) -> tuple[str, ...]:
    """What the pods' manifest lacks and no report contradicts."""
    kept = set(_SEEN_BY_REPORTING) if states else set()
    kept |= {"tuning"} if any(state.generation for state in states.values()) else set()
    kept |= {"identity"} if any(state.uid == uid for uid, state in states.items()) else set()
    return tuple(message for clause, message in workload.lacks.items() if clause not in kept)
