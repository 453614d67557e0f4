"""Gathers what a decision on one policy needs: the first half of a pass. The reading is pure."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlencode

from paceline_operator.core.measure.pods import PodState, running_values, start_values
from paceline_operator.core.measure.window import WHOLE
from paceline_operator.core.model.policy import Policy
from paceline_operator.core.model.tunables import NOTHING, Tunable, Values
from paceline_operator.core.model.values import tunable_from_wire, values_from_wire
from paceline_operator.core.situation.situation import LEAST_COVERAGE, Budget, Fleet, Member
from paceline_operator.crd.checkpoint import Checkpoint
from paceline_operator.crd.document import MOST_GENERATION, TuningDocument, parse_document
from paceline_operator.crd.intent import completed, remembered
from paceline_operator.crd.measured import readable
from paceline_operator.crd.switches import Switches, read_switches
from paceline_operator.errors import InvalidState
from paceline_operator.loop.left_out import acked, lacks, left_out
from paceline_operator.ports import (
    Platform,
    Pod,
    PolicyResource,
    StoredDocument,
    TargetRef,
    Telemetry,
    Trouble,
    Workload,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What one pass has read. `states` holds the pods that report, by uid; `troubles` why others do not."""

    resource: PolicyResource
    policy: Policy
    switches: Switches
    workload: Workload
    stored: StoredDocument
    document: TuningDocument | None
    states: Mapping[str, PodState]
    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    budgets: Mapping[str, Budget] = field(default_factory=lambda: NOTHING)
    """The room that each ConnectionBudget leaves the policy, by `namespace/name`."""
    missing: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Budgets that it cannot draw from, and why."""
    reserved_generation: int = 0
    """Of the document that connections are reserved for and that was not written: its writer was stopped, or sleeps."""
    healed: bool = False
    """Whether the document was written anew of late because of a few pods that were past it."""

    @property
    def pods(self) -> tuple[Pod, ...]:
        """The pods that count."""
        return self.workload.staying

    @property
    def highest_generation(self) -> int:
        """The largest of document, status and any pod's report: the next document is one above."""
        return max(self._known_generation, *(state.generation for state in self.states.values()), 0)

    @property
    def _known_generation(self) -> int:
        """Of document and status, which no pod has a say in."""
        stored = self.document.generation if self.document else 0
        told = readable(lambda: int(self.resource.status["tuning"]["generation"]), 0)
        return max(stored, told if told <= MOST_GENERATION else 0)

    @property
    def next_generation(self) -> int:
        """Above all that anybody has seen."""
        return max(self.highest_generation + 1, self.reserved_generation)

    @property
    def reserved_in_vain(self) -> bool:
        """Whether only another document can release what was reserved: then its writer, were it to wake, is refused."""
        return self.reserved_generation > (self.document.generation if self.document else 0)

    @property
    def in_force(self) -> TuningDocument | None:
        """The stored document, unless pods have moved past it or refuse it: then what they run is the truth.

        A few that say so are followed once: a single pod must not keep all others from being tuned.
        """
        document = self.document
        if document is None:
            return None
        against = sum(_contradicts(state, document) for state in self.states.values())
        few = len(self.states) - against >= LEAST_COVERAGE * len(self.states)
        return document if not against or (few and self.healed) else None

    @property
    def on_trial(self) -> frozenset[str]:
        """Uids of the pods that the stored document gives values of their own."""
        return frozenset(self.document.overrides) if self.document else frozenset()

    def with_reports(self, reports: Mapping[str, PodState | Trouble]) -> "Gathered":
        """With newer reports. A generation that no document can have had is nobody's."""
        most = max(MOST_GENERATION, self._known_generation)
        states, troubles = {}, {}
        for uid, report in reports.items():
            if isinstance(report, Trouble):
                troubles[uid] = report
            elif report.generation > most:
                troubles[uid] = Trouble("ReportRefused", f"generation {report.generation} is none of a document")
            else:
                states[uid] = report
        return replace(self, states=states, troubles=troubles)


async def gather(
    platform: Platform,
    telemetry: Telemetry,
    resource: PolicyResource,
    policy: Policy,
    target: TargetRef,
    checkpoint: Checkpoint,
) -> Gathered:
    """Reads target, document and pods. Status and checkpoint are completed by what the document carries.

    Raises:
        TargetNotFound, PlatformUnavailable: from the platform.
        InvalidSpec: a switch says nothing that can be done.
    """
    workload = naming(await platform.workload(resource.key.namespace, target), policy)
    stored = await platform.document(workload)
    document = parsed(stored, workload)
    # Of a pass that ended between the document and the status; a switch may name that very change.
    status = completed(resource.status, document, str(resource.key))
    switches = read_switches(resource.annotations, resource.namespace_annotations, status)
    resource, checkpoint = replace(resource, status=status), remembered(checkpoint, document, str(resource.key))
    gathered = Gathered(resource, policy, switches, workload, stored, document, {}, checkpoint=checkpoint)
    return gathered.with_reports(await telemetry.scrape(workload.staying))


def naming(workload: Workload, policy: Policy) -> Workload:
    """The workload, its pods asked to name the routes that are excluded, and those that have an objective of their own.

    A pod names eight routes and adds up the others, from which none could be taken out. The document says the same; but
    there is none in mode Recommend, nor before the first change.
    """
    named = policy.objective.named if policy.objective else ()
    if not named:
        return workload
    query = urlencode([("route", route) for route in named])
    pods = (replace(pod, state_url=pod.state_url and f"{pod.state_url}?{query}") for pod in workload.pods)
    return replace(workload, pods=tuple(pods))


def parsed(stored: StoredDocument, workload: Workload) -> TuningDocument | None:
    """The stored document; None where there is none that can be read."""
    if stored.content is None:
        return None
    try:
        return parse_document(stored.content)
    except InvalidState as error:
        logger.warning("%s of %s: %s; it is written anew from what pods run", workload.document_name, workload, error)
        return None


def _contradicts(state: PodState, document: TuningDocument) -> bool:
    conflicting = state.refused_reason == "ConflictingContent" and state.generation == document.generation
    return conflicting or state.generation > document.generation


TUNING: Final = "tuning"
"""The task of a worker that follows new values, as the runtime names it in `/state`."""


def fleet_of(gathered: Gathered) -> Fleet:
    """How far the pods are, as the core sees it."""
    states = gathered.states
    generation = gathered.in_force.generation if gathered.in_force else gathered.highest_generation
    names = {pod.uid: pod.name for pod in gathered.pods}
    untried = {uid: state for uid, state in states.items() if uid not in gathered.on_trial}
    return Fleet(
        total=len(gathered.pods),
        reporting=len(states),
        applied=sum(1 for state in states.values() if acked(state, generation)),
        generation=generation,
        rolling_out=gathered.workload.rolling_out,
        replicas=gathered.workload.replicas,
        template=gathered.workload.template,
        too_old=tuple(names.get(uid, uid) for uid, state in states.items() if not state.understands),
        shrink_blocked=next((s.refused_message for s in states.values() if s.refused_reason == "ShrinkBlocked"), ""),
        unregistered=tuple(sorted({address for state in states.values() for address in state.unregistered})),
        cannot_tune=_degraded(names, states, lambda task: task == TUNING),
        cannot_measure=_degraded(names, states, lambda task: task != TUNING),
        unknown=_unknown(gathered, states),
        clamped=_clamped(untried, few=False),
        clamped_by_few=_clamped(untried, few=True),
        members=tuple(_member(pod, states.get(pod.uid), generation) for pod in gathered.pods),
        idle=sum(1 for pod in gathered.pods if pod.trouble is not None and pod.uid not in states),
        newcomers=_newcomers(gathered),
        left_out=left_out(gathered.workload, states, gathered.troubles, generation),
        lacks=lacks(gathered.workload, states),
    )


def _newcomers(gathered: Gathered) -> int:
    behavior = gathered.policy.behavior
    whole = (behavior.settle + WHOLE * behavior.interval).total_seconds()
    return sum(1 for state in gathered.states.values() if state.uptime_seconds < whole)


def _degraded(names: Mapping[str, str], states: Mapping[str, PodState], counts: Callable[[str], bool]) -> str:
    """The first pod with a failing task that counts, as `pod api-1: task 'memory' fails: OSError: …`."""
    found = (
        f"pod {names.get(uid, uid)}: task {each.task!r} of a worker fails: {each.error}"
        for uid, state in sorted(states.items(), key=lambda item: names.get(item[0], item[0]))
        for each in state.degraded
        if counts(each.task)
    )
    return next(found, "")


def _member(pod: Pod, state: PodState | None, generation: int) -> Member:
    seen = Member(pod.uid, pod.ready, applied=False, ended=pod.ended, name=pod.name)
    if state is None:
        return seen
    return replace(
        seen,
        applied=acked(state, generation),
        addressable=state.uid == pod.uid,
        values=state.values,
        generation=state.generation,
    )


def _unknown(gathered: Gathered, states: Mapping[str, PodState]) -> tuple[str, ...]:
    """Names that are asked for, in the document or in the policy, and that no worker registered."""
    running = running_values(states.values())
    named = {str(tunable) for tunable in gathered.policy.tunables if running and tunable not in running}
    return tuple(sorted(named.union(*(state.unknown for state in states.values()))))


def values_in_force(gathered: Gathered) -> Values:
    """What the fleet is meant to run.

    The document, and for tunables that the policy names and it lacks, what pods run. Without a document that holds:
    what pods run that have read one, else what the status says, else what pods run. Of tunables that the policy does
    not name only those count that differ from their start value, so that nothing moves when a document is written anew.
    """
    states = tuple(gathered.states.values())
    running = running_values(states)
    named = {tunable: value for tunable, value in running.items() if tunable in gathered.policy.tunables}
    if gathered.in_force is not None:
        return {**named, **gathered.in_force.values}
    tuned = tuple(state for state in states if state.generation)
    start = start_values(tuned)
    taught = {
        tunable: value
        for tunable, value in running_values(tuned).items()
        if tunable in gathered.policy.tunables or start.get(tunable) != value
    }
    return {**named, **_status_values(gathered), **taught}


def _status_values(gathered: Gathered) -> Values:
    tuning = gathered.resource.status.get("tuning") or {}
    try:
        return values_from_wire(tuning.get("values") or {}) if tuning.get("generation") else NOTHING
    except (KeyError, TypeError, ValueError, AttributeError):
        return NOTHING


def _clamped(states: Mapping[str, PodState], *, few: bool) -> Mapping[Tunable, str]:
    """What pods grant less of; `few` pods, a fifth or fewer, clamp for reasons of their own, and hold nobody else."""
    found = Counter((name, why) for state in states.values() for name, why in state.clamped.items())
    pods = Counter(name for state in states.values() for name in state.clamped)
    result: dict[Tunable, str] = {}
    for (name, why), _ in found.most_common():
        if (len(states) - pods[name] >= LEAST_COVERAGE * len(states)) is not few:
            continue
        try:
            result.setdefault(tunable_from_wire(name), why)
        except ValueError:
            logger.warning("a pod clamps %r, which this operator does not know", name)
    return result
