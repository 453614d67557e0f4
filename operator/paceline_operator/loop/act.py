"""Carries a decision out: writes the document, nudges pods, waits for their acks. The only place that writes one."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from paceline_operator.core.measure.pods import PodState, start_values
from paceline_operator.core.model.decision import Decision, Reason
from paceline_operator.core.model.policy import Mode
from paceline_operator.core.model.tunables import Values
from paceline_operator.crd.document import MOST_GENERATION, build_document, parse_document
from paceline_operator.crd.switches import switched
from paceline_operator.loop.gather import Gathered, parsed
from paceline_operator.loop.report import Outcome
from paceline_operator.ports import (
    Conflict,
    Platform,
    PolicyKey,
    PolicyResource,
    Span,
    StoredDocument,
    TargetRef,
    Telemetry,
)

logger = logging.getLogger(__name__)


def to_apply(gathered: Gathered, outcome: Outcome) -> Decision | None:
    """What has to be written, if anything; only what single pods tried is taken back in every mode."""
    thought, decision = outcome.thought, outcome.decision
    if outcome.mode is Mode.AUTO and not outcome.switches.paused and decision is not None and decision.changes:
        return decision
    if thought.rewrite:
        return _written_anew(gathered)
    return _taken_back(gathered) if thought.take_back else None


def _taken_back(gathered: Gathered) -> Decision:
    generation = gathered.next_generation
    message = f"nobody waits for what single pods tried: common values for all pods, as generation {generation}"
    return Decision((), Reason.EXTERNAL_CHANGE, message)


def _written_anew(gathered: Gathered) -> Decision:
    if gathered.reserved_in_vain:
        message = f"generation {gathered.next_generation} releases connections that were reserved and not used"
        return Decision((), Reason.EXTERNAL_CHANGE, message)
    what = "was deleted" if gathered.stored.content is None else "was not what pods run"
    message = f"the document {what}: written anew from what runs, as generation {gathered.next_generation}"
    return Decision((), Reason.EXTERNAL_CHANGE, message)


async def write_document(
    platform: Platform,
    gathered: Gathered,
    values: Values,
    overrides: Mapping[str, Values],
    traceparent: str | None,
    intent: Mapping[str, Any],
) -> Gathered:
    """Stores the values, and what they are for, as the next generation; returns the gathered state with them.

    The policy is read anew first: between gathering and acting a person may have changed their mind.

    Raises:
        Conflict: the policy or the document has changed since it was read; nothing was written.
    """
    fresh = await platform.policy(gathered.resource.key)
    if fresh is None or _intent(fresh) != _intent(gathered.resource):
        raise Conflict(f"policy {gathered.resource.key} changed while it was being worked on")
    generation = gathered.next_generation
    values = without_counted(gathered, values)
    objective = gathered.policy.objective
    routes = objective.named if objective else ()
    content = build_document(generation, values, str(gathered.resource.key), traceparent, overrides, intent, routes)
    await platform.write_document(gathered.workload, content, gathered.stored.resource_version)
    await platform.nudge(gathered.workload, generation)
    return replace(gathered, document=parse_document(content), stored=StoredDocument(content))


def without_counted(gathered: Gathered, values: Values) -> Values:
    """The values without those of pools that only count, as long as they are what pods start with: never moved."""
    start = start_values(gathered.states.values())
    specs = gathered.policy.tunables.values()
    counted = {spec.tunable for spec in specs if spec.pinned is None and spec.bounds is None}
    return {t: value for t, value in values.items() if t not in counted or start.get(t) != value}


async def end_trial(platform: Platform, telemetry: Telemetry, key: PolicyKey, target: TargetRef) -> None:
    """Gives all pods the common values where the document of a policy that went lets some of them try others.

    Its values stay, and so does the document of any other policy.

    Raises:
        Conflict: somebody else has written the document meanwhile.
        TargetNotFound: from the platform; then there is no document either.
    """
    workload = await platform.workload(key.namespace, target)
    stored = await platform.document(workload)
    document = parsed(stored, workload)
    if document is None or not document.overrides or document.policy != str(key):
        return
    reports = (await telemetry.scrape(workload.staying)).values()
    seen = (report.generation for report in reports if isinstance(report, PodState))
    generation = 1 + max(document.generation, *(each for each in seen if each <= MOST_GENERATION), 0)
    await platform.write_document(
        workload, build_document(generation, document.values, str(key), routes=document.routes), stored.resource_version
    )
    await platform.nudge(workload, generation)
    logger.info("policy %s went during a trial: common values for all pods, as generation %d", key, generation)


def _intent(resource: PolicyResource) -> tuple[object, ...]:
    """All that a person can say: the spec, the switches, and that the policy goes."""
    switches = switched(resource.annotations, resource.namespace_annotations)
    return resource.uid, resource.generation, switches, resource.deleting


async def wait_for_acks(
    telemetry: Telemetry,
    gathered: Gathered,
    span: Span,
    *,
    woken: asyncio.Event | None,
    poll: timedelta,
    longest: timedelta,
) -> Gathered:
    """What was gathered, with the pods' reports once all have acked, at the deadline, or as soon as `woken` is set.

    Each ack is an event of the span.
    """
    generation = gathered.document.generation if gathered.document else 0
    # Those that did not report before will hardly ack now; later looks see them.
    event, waiting = woken or asyncio.Event(), tuple(pod for pod in gathered.pods if pod.uid in gathered.states)
    for _ in range(max(1, round(longest / poll))):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), poll.total_seconds())
        if event.is_set():
            break
        acks = await telemetry.acks(waiting)
        for pod in waiting:
            if acks.get(pod.uid) == generation:
                span.event("ack", pod=pod.name, generation=generation)
        waiting = tuple(pod for pod in waiting if acks.get(pod.uid) != generation)
        if not waiting:
            break
    return gathered.with_reports(await telemetry.scrape(gathered.pods))
