"""The whole decision, composed.

Is the objective met with room? → gate → pinned values and bounds → held by a person → judge a trial → verify → freeze →
diagnose → recommend → limits → admission → leave alone what is met → try on some pods first.

A pure function: the same situation gives the same decision. Exactly one reason, and one sentence with the numbers.
"""

from dataclasses import replace
from typing import Final

from paceline_operator.core.choice.admission import with_admission
from paceline_operator.core.choice.capacity import out_of_bounds, propose
from paceline_operator.core.choice.cost import bears, wanting
from paceline_operator.core.choice.learning import counted, model_of, remembering, sound
from paceline_operator.core.choice.probe import probe, scheduled
from paceline_operator.core.choice.replicas import wanted_replicas
from paceline_operator.core.guards.explicit import explicit_changes
from paceline_operator.core.guards.gates import GATES, Hold, runtime_too_old, tuning_suspended
from paceline_operator.core.guards.growth import left_alone
from paceline_operator.core.guards.held import hold
from paceline_operator.core.guards.limits import LIMITS, TRY_NEXT
from paceline_operator.core.laws import processes
from paceline_operator.core.laws.cache_ttl import ttl_changes
from paceline_operator.core.laws.diagnose import Finding, count_oversized, diagnose
from paceline_operator.core.laws.recommend import Proposal, recommend
from paceline_operator.core.laws.relief import half, relief, retreat
from paceline_operator.core.laws.swamped import saturated, swamped
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.decision import Change, Decision, Reason, apply_changes, differences
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.policy import Objective, Prefer
from paceline_operator.core.queueing.predict import Model
from paceline_operator.core.situation.experience import database_is_slow
from paceline_operator.core.situation.memory import Measured, Memory
from paceline_operator.core.situation.room import nothing_grows
from paceline_operator.core.situation.situation import Situation
from paceline_operator.core.verdict.canary import judge, tried_first
from paceline_operator.core.verdict.verify import verify

GROWING: Final = frozenset({Reason.LOOP_LAG_HIGH, Reason.POOL_WAIT_HIGH})
"""What a short window may find."""


def decide(situation: Situation) -> tuple[Decision, Memory]:
    """What to do now and what to remember if that is done."""
    situation = _looked_at(situation)
    decision, memory = with_admission(situation, *_decide(situation))
    decision = tried_first(situation, left_alone(situation, decision))
    return replace(decision, replicas=wanted_replicas(situation, model_of(situation), decision)), memory


def _looked_at(situation: Situation) -> Situation:
    """Without a window that cannot be, or is short and not swamped, and with whether the objective is met with room."""
    situation = sound(situation)
    if situation.short and not swamped(situation):
        situation = replace(situation, observation=None, trial=None)
    model = model_of(situation)
    return replace(situation, enough=nothing_grows(remembering(situation, model), model, situation.memory.noise))


def foresee(situation: Situation) -> tuple[Decision, Memory]:
    """`decide` where nothing may be changed: a value that the policy gives would otherwise hide all else for ever.

    The model of the window says what would follow it, as if it were in force; both are one recommendation. Auto would
    measure in between.
    """
    decision, memory = decide(situation)
    if explicit_changes(situation) is None or situation.held or not decision.changes:
        return decision, memory
    following = _following(_looked_at(situation), decision)
    if following is None or not following.changes:
        return decision, memory
    values = apply_changes(apply_changes(situation.values, decision.changes), following.changes)
    together = replace(
        decision,
        changes=differences(situation.values, values),
        message=f"{decision.message}; then, as the model predicts, {following.message}",
        uncapped=following.uncapped,
        limited_by=following.limited_by,
    )
    return together, memory


def _following(situation: Situation, decision: Decision) -> Decision | None:
    model, objective = model_of(situation), situation.policy.objective
    if model is None or objective is None or any(gate(situation) for gate in GATES):
        return None
    after = replace(situation, values=apply_changes(situation.values, decision.changes))
    after = replace(after, enough=bears(after, model, objective))
    proposed = propose(after, model, objective)
    return _limited(after, proposed) if proposed else None


def _decide(situation: Situation) -> tuple[Decision, Memory]:
    held = runtime_too_old(situation)
    if held:
        return _hold(held), situation.memory
    explicit = explicit_changes(situation)
    if explicit:
        # What a person changes voids the verdict on what was tuned before.
        return explicit, replace(situation.memory, pending=None)
    if situation.held:
        return hold(situation, situation.held), replace(situation.memory, pending=None)
    pending = situation.memory.pending
    if pending is not None and pending.tried_on:
        return judge(situation.as_measured, pending)
    model = None if situation.short else model_of(situation)
    situation = remembering(situation, model)
    rollback, memory = verify(situation.as_measured)
    if rollback:
        return rollback, counted(situation, memory)
    situation = replace(situation, memory=memory)
    for gate in GATES:
        held = gate(situation)
        if held:
            return _hold(held), counted(situation, memory)
    decision, memory = _tune(situation, model)
    return decision, counted(situation, memory)


def _tune(situation: Situation, model: Model | None) -> tuple[Decision, Memory]:
    observation, objective = situation.observation, situation.policy.objective
    assert observation is not None  # the gates saw to it
    measured = situation.memory.first or Measured.of(observation)
    if objective is None:
        held = Hold(Reason.PINNED_BY_SPEC, situation.evidence("the policy gives every value it names"))
        return _hold(held), replace(situation.memory, first=measured)
    oversized = {
        **count_oversized(situation, observation, objective),
        **processes.count_oversized(situation, observation, objective),
    }
    situation = replace(situation, memory=replace(situation.memory, first=measured, oversized=oversized))
    if situation.short:
        return _at_once(situation, observation, objective), situation.memory
    situation = replace(situation, memory=scheduled(situation, situation.memory))
    if model is not None and objective.prefer is Prefer.COST:
        situation = replace(situation, memory=wanting(situation, model, objective))
    if situation.memory.pending is not None:
        held = Hold(Reason.COOLING_DOWN, situation.evidence("the last change is being judged"))
        return _hold(held), situation.memory
    back, suspended = retreat(situation, observation, objective), tuning_suspended(situation)
    if suspended:
        return _limited(situation, back) if back else _hold(suspended), situation.memory
    return _decided(situation, model, observation, objective, back), situation.memory


def _at_once(situation: Situation, observation: Observation, objective: Objective) -> Decision:
    """Of a service that is swamped: connections go back, or what is saturated grows. All else can wait."""
    if situation.memory.pending is not None:
        return _hold(Hold(Reason.COOLING_DOWN, situation.evidence("the last change is being judged")))
    suspended = tuning_suspended(situation)
    back = retreat(situation, observation, objective)
    if back is None and suspended is None:
        back = relief(situation, observation, objective)
    if back is not None and (fewer := _limited(situation, back)).changes:
        return fewer
    if suspended is not None:
        return _hold(suspended)
    why = swamped(situation)
    findings = (
        replace(finding, evidence=f"{why}: {finding.evidence}")
        for finding in diagnose(situation, observation, objective)
        if finding.reason in GROWING and saturated(situation, finding.tunable)
    )
    found = _first_that_passes(situation, tuple(findings))
    return found or _hold(Hold(Reason.WITHIN_TOLERANCE, situation.evidence(f"{why}: left to a whole window")))


def _decided(
    situation: Situation, model: Model | None, observation: Observation, objective: Objective, back: Proposal | None
) -> Decision:
    ttls = () if situation.enough else ttl_changes(situation, observation)
    proposals = (
        back,
        relief(situation, observation, objective),
        propose(situation, model, objective) if model else None,
    )
    for proposed in filter(None, proposals):
        decision = _limited(situation, proposed)
        if decision.changes:
            return _with_ttls(decision, ttls)
    found = _first_that_passes(situation, _findings(situation, observation, objective, model))
    if (found is None or not found.changes) and (fewer := half(situation, observation, objective)):
        halved = _limited(situation, fewer)
        found = halved if halved.changes else found
    if found is not None and (found.changes or not ttls):
        return _with_ttls(found, ttls)
    if ttls:
        return _ttl_decision(situation, ttls)
    if model is not None and (limited := out_of_bounds(situation, model, objective)):
        return limited
    tried = probe(situation, model, objective) if model else None
    if tried is not None:
        return _limited(situation, tried)
    return _hold(_content(situation, model, observation, objective))


def _findings(
    situation: Situation, observation: Observation, objective: Objective, model: Model | None
) -> tuple[Finding, ...]:
    """What limits the service, then what can be given back."""
    found = (
        *diagnose(situation, observation, objective, model),
        *processes.findings(situation, observation, objective),
    )
    return tuple(sorted(found, key=lambda finding: finding.reason is Reason.POOL_OVERSIZED))


def _ttl_decision(situation: Situation, ttls: tuple[tuple[Change, str], ...]) -> Decision:
    changes = tuple(change for change, _ in ttls)
    finding = Finding(Reason.CACHE_MISSES_HIGH, changes[0].tunable, 2.0, ", ".join(evidence for _, evidence in ttls))
    return _limited(situation, Proposal(finding, changes, predicted=True))


def _with_ttls(decision: Decision, ttls: tuple[tuple[Change, str], ...]) -> Decision:
    """TTLs move along: they need no verdict of their own, since ghosts have measured them."""
    if not decision.changes or not ttls:
        return decision
    message = f"{', '.join(str(change) for change, _ in ttls)}: {', '.join(evidence for _, evidence in ttls)}; "
    return replace(
        decision, changes=(*decision.changes, *(change for change, _ in ttls)), message=message + decision.message
    )


def _first_that_passes(situation: Situation, findings: tuple[Finding, ...]) -> Decision | None:
    first_hold: Decision | None = None
    for finding in findings:
        decision = _recommended(situation, finding)
        if decision.changes or decision.reason not in TRY_NEXT:
            return decision
        first_hold = first_hold or decision
    return first_hold


def _recommended(situation: Situation, finding: Finding) -> Decision:
    proposal = recommend(situation, finding)
    if proposal is None:
        # A diagnosis without a lever, e.g. throttling: its own reason says what a person can do.
        return _hold(Hold(finding.reason, situation.evidence(finding.evidence)))
    return _limited(situation, proposal)


def _limited(situation: Situation, proposal: Proposal) -> Decision:
    """One proposal through all limits."""
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
        proposal.changes,
        proposal.finding.reason,
        situation.evidence(message),
        uncapped,
        capped,
        tuned=True,
        promised=proposal.promised if proposal.changes == uncapped else None,
    )


def _hold(hold: Hold) -> Decision:
    return Decision((), hold.reason, hold.message)


def _content(situation: Situation, model: Model | None, observation: Observation, objective: Objective) -> Hold:
    """Nothing limits the service: either all is well, or what is wrong is out of reach of these tunables."""
    seconds, limit, figure = observation.response_seconds or 0.0, objective.limit.total_seconds(), observation.figure
    text = f"{figure.told(seconds)}, objective {figure.text(limit)}"
    if seconds > limit * (1 + situation.policy.behavior.tolerance):
        slow = _slow_database(situation, model)
        if slow:
            return Hold(Reason.DATABASE_SATURATED, situation.evidence(f"{text}: {slow}"))
        text += ": neither loop lag nor pool waits explain it; look at the database and at what the service calls"
        return Hold(Reason.OBJECTIVE_INFEASIBLE, situation.evidence(text))
    return Hold(Reason.WITHIN_TOLERANCE, situation.evidence(text))


def _slow_database(situation: Situation, model: Model | None) -> str:
    """Says which pool's other end is much slower than it was; empty where none is."""
    for name, pool in model.pools.items() if model else ():
        if database_is_slow(situation.memory, name, pool.query_seconds):
            now, well = format_duration(pool.query_seconds), format_duration(situation.memory.fastest[name])
            return f"{name} responds in {now}, {well} when all was well; more connections would not help"
    return ""
