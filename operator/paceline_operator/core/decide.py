"""The whole decision, composed.

Gate → pinned values and bounds → held by a person → verify → freeze → diagnose → recommend → guardrails.

A pure function: the same situation gives the same decision. Exactly one reason, and one sentence with the numbers.
"""

from dataclasses import replace
from typing import Final

from paceline_operator.core.diagnose import Finding, count_oversized, diagnose
from paceline_operator.core.durations import format_duration
from paceline_operator.core.explicit import explicit_changes
from paceline_operator.core.guardrails import GATES, LIMITS, Hold, runtime_too_old
from paceline_operator.core.held import hold
from paceline_operator.core.model import Change, Decision, Objective, Reason
from paceline_operator.core.observe import Observation
from paceline_operator.core.recommend import Proposal, recommend
from paceline_operator.core.situation import Measured, Memory, Situation
from paceline_operator.core.verify import verify

TRY_NEXT: Final = frozenset(
    {Reason.PINNED_BY_SPEC, Reason.WITHIN_TOLERANCE, Reason.AT_MAXIMUM, Reason.CLAMPED, Reason.UNREGISTERED_POOL}
)
"""Holds that stop one lever; what the next finding asks for may still help."""


def decide(situation: Situation) -> tuple[Decision, Memory]:
    """What to do now and what to remember if that is done."""
    held = runtime_too_old(situation)
    if held:
        return _hold(held), situation.memory
    explicit = explicit_changes(situation)
    if explicit:
        # What a person changes voids the verdict on what was tuned before.
        return explicit, replace(situation.memory, pending=None)
    if situation.held:
        return hold(situation, situation.held), replace(situation.memory, pending=None)
    rollback, memory = verify(situation)
    if rollback:
        return rollback, memory
    situation = replace(situation, memory=memory)
    for gate in GATES:
        held = gate(situation)
        if held:
            return _hold(held), memory
    return _tune(situation)


def _tune(situation: Situation) -> tuple[Decision, Memory]:
    observation, objective = situation.observation, situation.policy.objective
    assert observation is not None  # the gates saw to it
    measured = situation.memory.first or Measured.of(observation)
    if objective is None:
        held = Hold(Reason.PINNED_BY_SPEC, situation.evidence("the policy gives every value it names"))
        return _hold(held), replace(situation.memory, first=measured)
    oversized = count_oversized(situation, observation, objective)
    situation = replace(situation, memory=replace(situation.memory, first=measured, oversized=oversized))
    findings = diagnose(situation, observation, objective)
    return _first_that_passes(situation, findings) or _hold(
        _content(situation, observation, objective)
    ), situation.memory


def _first_that_passes(situation: Situation, findings: tuple[Finding, ...]) -> Decision | None:
    first_hold: Decision | None = None
    for finding in findings:
        decision = _limited(situation, finding)
        if decision.changes or decision.reason not in TRY_NEXT:
            return decision
        first_hold = first_hold or decision
    return first_hold


def _limited(situation: Situation, finding: Finding) -> Decision:
    """One finding through the laws and all guardrails."""
    proposal = recommend(situation, finding)
    if proposal is None:
        # A diagnosis without a lever, e.g. throttling: its own reason says what a person can do.
        return _hold(Hold(finding.reason, situation.evidence(finding.evidence)))
    uncapped = proposal.changes
    for limit in LIMITS:
        result = limit(situation, proposal)
        if isinstance(result, Hold):
            message = situation.evidence(result.message)
            return Decision((), result.reason, message, uncapped, limited_by=result.reason)
        proposal = result
    return _decision(situation, proposal, uncapped)


def _decision(situation: Situation, proposal: Proposal, uncapped: tuple[Change, ...]) -> Decision:
    capped = Reason.AT_MAXIMUM if proposal.lever != uncapped[0] else None
    message = f"{', '.join(map(str, proposal.changes))}: {proposal.finding.evidence}"
    return Decision(
        proposal.changes, proposal.finding.reason, situation.evidence(message), uncapped, capped, tuned=True
    )


def _hold(hold: Hold) -> Decision:
    return Decision((), hold.reason, hold.message)


def _content(situation: Situation, observation: Observation, objective: Objective) -> Hold:
    """Nothing limits the service: either all is well, or what is wrong is out of reach of these tunables."""
    p95 = observation.p95 or 0.0
    text = f"p95 {format_duration(p95)}, objective {format_duration(objective.p95)}"
    if p95 > objective.p95.total_seconds() * (1 + situation.policy.behavior.tolerance):
        text += ": neither loop lag nor pool waits explain it; look at the database and at what the service calls"
        return Hold(Reason.OBJECTIVE_INFEASIBLE, situation.evidence(text))
    return Hold(Reason.WITHIN_TOLERANCE, situation.evidence(text))
