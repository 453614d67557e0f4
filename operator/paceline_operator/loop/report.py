"""Says what a pass did: status, Event and journal, each only when there is something new to say."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from paceline_operator.core.guards.gates import STALE_AFTER, no_traffic
from paceline_operator.core.model.decision import Decision, Reason
from paceline_operator.core.model.policy import Mode
from paceline_operator.core.model.tunables import NOTHING, Values
from paceline_operator.core.situation.memory import Memory
from paceline_operator.core.situation.situation import Fleet
from paceline_operator.crd.conditions import (
    Condition,
    can_be_judged,
    converged,
    lacking,
    not_ready,
    objective_met,
    ready,
    telemetry_available,
    within_budget,
)
from paceline_operator.crd.decisions import Decided
from paceline_operator.crd.document import TuningDocument
from paceline_operator.crd.intent import completed
from paceline_operator.crd.status import Report, due, render_not_ready, render_status
from paceline_operator.crd.steady import Seen, steadied
from paceline_operator.crd.switches import Switches
from paceline_operator.loop.think import Thought
from paceline_operator.ports import Conflict, Platform, PlatformRefused, PolicyKey, PolicyResource

WARNINGS: Final = frozenset(
    {
        Reason.ROLLED_BACK,
        Reason.OUT_OF_MEMORY,
        Reason.SHRINK_BLOCKED,
        Reason.TUNING_SUSPENDED,
        Reason.TELEMETRY_STALE,
        Reason.RUNTIME_TOO_OLD,
        Reason.UNREGISTERED_POOL,
        Reason.BUDGET_NOT_FOUND,
        Reason.SCALE_OUT_RECOMMENDED,
        Reason.THROTTLING_HIGH,
        Reason.OBJECTIVE_INFEASIBLE,
    }
)
"""Reasons that ask a person to look; other holds are in the status and cause no Event."""


STATUS_ATTEMPTS: Final = 3
ALWAYS: Final = frozenset({"TelemetryAvailable", "Converged", "WithinBudget"})
"""Conditions that each pass looks at."""
MEASURED: Final = ALWAYS | {"ObjectiveMet"}
"""Those that a pass with a measured window looks at."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A pass, carried out as far as it got: fleet, values and memory as they are after it."""

    thought: Thought
    mode: Mode
    switches: Switches
    fleet: Fleet
    values: Values
    memory: Memory
    decision: Decision | None
    document: TuningDocument | None = None
    """The stored one that the pass found."""
    applied: bool = False
    missing: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Budgets that the policy cannot draw from, and why."""
    trace_id: str | None = None
    refused: PlatformRefused | None = None
    """Why the policy's checkpoint cannot be read or written."""


class Reporter:
    """Writes status and Events through the platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._unwritten: dict[PolicyKey, tuple[Reason, str]] = {}
        """What could be told by an Event alone, lately."""
        self._seen: dict[PolicyKey, Seen] = {}
        """How conditions came and went."""
        self._judged: dict[PolicyKey, datetime] = {}
        """When a window was last held against the objective, or the policy was first seen."""

    def forget(self, key: PolicyKey) -> None:
        """The policy is gone."""
        self._unwritten.pop(key, None)
        self._seen.pop(key, None)
        self._judged.pop(key, None)

    async def not_ready(
        self, resource: PolicyResource, reason: Reason, message: str, now: datetime
    ) -> Mapping[str, Any]:
        """Ready=False, and the status that says so; an Event when that is new."""
        status = render_not_ready(resource.status, not_ready(reason, message), resource.generation, now)
        if not due(resource.status, status, now):
            return status
        try:
            await self._platform.write_status(resource, status)
        except PlatformRefused:
            # Then an Event is all that can be said; once, since nothing tells the next pass that it has been.
            if self._unwritten.get(resource.key) != (reason, message):
                self._unwritten[resource.key] = reason, message
                await self._platform.record_event(resource, reason.value, message, warning=True)
            raise
        self._unwritten.pop(resource.key, None)
        await self._platform.record_event(resource, reason.value, message, warning=True)
        return status

    async def outcome(
        self, resource: PolicyResource, outcome: Outcome, now: datetime, *, news: bool
    ) -> Mapping[str, Any]:
        """Writes the status of a pass and returns it. An Event for a change, and for a hold that asks a person to look
        and is `news`.

        The status of a change that has been made must not be lost, so after a conflict it is written onto what is
        there now; it speaks of the spec that was worked on either way.
        """
        for _ in range(STATUS_ATTEMPTS - 1):
            try:
                return await self._publish(resource, outcome, now, news)
            except Conflict:
                fresh = await self._platform.policy(resource.key)
                if fresh is None or fresh.uid != resource.uid:
                    raise
                resource = replace(fresh, generation=resource.generation)
        return await self._publish(resource, outcome, now, news)

    async def _publish(
        self, resource: PolicyResource, outcome: Outcome, now: datetime, news: bool
    ) -> Mapping[str, Any]:
        previous = completed(resource.status, outcome.document, str(resource.key))
        report = _report(previous, resource.generation, outcome, self._unjudged(resource.key, outcome, now))
        report = self._steadied(resource.key, previous, report, outcome, now)
        status = render_status(previous, report, now)
        if due(resource.status, status, now, at_once=outcome.thought.urgent):
            await self._platform.write_status(resource, status)
        refused, decision = outcome.refused, outcome.decision
        if refused is not None and _ready_reason(resource.status) != refused.reason:
            await self._platform.record_event(resource, refused.reason.value, str(refused), warning=True)
        if news and decision is not None and (decision.changes or decision.reason in WARNINGS):
            warning = decision.reason in WARNINGS
            message = decision.message if outcome.trace_id is None else f"{decision.message} (trace {outcome.trace_id})"
            await self._platform.record_event(resource, decision.reason.value, message, warning=warning)
        return status

    def _unjudged(self, key: PolicyKey, outcome: Outcome, now: datetime) -> timedelta:
        """For how long no window could be held against the objective."""
        if can_be_judged(outcome.thought.situation.observation, _too_few(outcome)):
            self._judged[key] = now
        return now - self._judged.setdefault(key, now)

    def _steadied(
        self, key: PolicyKey, previous: Mapping[str, Any], report: Report, outcome: Outcome, now: datetime
    ) -> Report:
        """With conditions that come and go told as `crd/steady.py` says."""
        situation = outcome.thought.situation
        measured = situation.observation is not None and no_traffic(situation) is None
        before, generation = self._seen.get(key, NOTHING), outcome.fleet.generation
        conditions, self._seen[key] = steadied(
            before, report.conditions, previous, generation, now, looked_at=MEASURED if measured else ALWAYS
        )
        return replace(report, conditions=conditions)


def decided(outcome: Outcome, decision: Decision, generation: int) -> Decided:
    """The decision of a pass. A recommendation starts from what is in force; what is applied is in force already."""
    observation = outcome.thought.observation
    p95 = observation.p95 if observation else None
    return Decided(decision, generation, outcome.values, outcome.applied, outcome.trace_id, p95)


def _report(previous: Mapping[str, Any], generation: int, outcome: Outcome, unjudged: timedelta) -> Report:
    situation = outcome.thought.situation
    decision = outcome.decision
    return Report(
        observed_generation=generation,
        conditions=_conditions(previous, outcome, unjudged),
        fleet=outcome.fleet,
        values=outcome.values,
        memory=outcome.memory,
        observation=situation.observation,
        decided=None if decision is None else decided(outcome, decision, outcome.fleet.generation),
    )


def _too_few(outcome: Outcome) -> str:
    few = no_traffic(outcome.thought.situation)
    return few.message if few else ""


def _conditions(previous: Mapping[str, Any], outcome: Outcome, unjudged: timedelta) -> tuple[Condition, ...]:
    situation = outcome.thought.situation
    stale = timedelta(seconds=situation.telemetry_age_seconds) > STALE_AFTER
    too_few = _too_few(outcome)
    return (
        _ready(outcome),
        telemetry_available(outcome.fleet, stale=stale, too_few=too_few),
        converged(outcome.fleet),
        within_budget(
            situation.policy, replace(situation, values={**situation.values, **outcome.values}), outcome.missing
        ),
        objective_met(situation.policy, situation.observation, previous, too_few, unjudged=unjudged),
    )


def _ready_reason(status: Mapping[str, Any]) -> str | None:
    conditions = status.get("conditions") or ()
    return next((one.get("reason") for one in conditions if one.get("type") == "Ready"), None)


def _ready(outcome: Outcome) -> Condition:
    if outcome.refused is not None:
        return not_ready(outcome.refused.reason, f"what is learnt cannot be stored: {outcome.refused}")[0]
    switches = outcome.switches
    if switches.paused:
        return ready(Reason.PAUSED.value, f"paused by annotation on the {switches.paused_by}; remove it to go on")
    if switches.held and outcome.mode is Mode.AUTO:
        return ready(Reason.ROLLED_BACK.value, f"held at {switches.held.label} by annotation; remove it to go on")
    if outcome.mode is not outcome.thought.situation.policy.mode:
        return ready("ModeCapped", f"this operator is allowed no more than {outcome.mode}")
    return ready("Accepted", f"mode {outcome.mode}{lacking(outcome.fleet)}")
