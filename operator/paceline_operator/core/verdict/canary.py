"""A change of workers or pools is carried out on some pods first, and judged against their own past and the others.

A pod that was slower than the others before is no slower for the change: what counts is how its p95 moved over how
theirs did (`slower_than_others`). Pods take turns. TTLs are not tried, nor fewer connections for a database that its
clients slow down: what they do shows when all pods have them. Only while the objective is met: where it is missed,
every request would pay for the wait.
"""

from dataclasses import replace
from typing import Final

from paceline_operator.core.laws.constraints import within_budgets
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.decision import Change, Decision, Reason, apply_changes, growing
from paceline_operator.core.situation.experience import seen_on_trial
from paceline_operator.core.situation.memory import Measured, Memory, Pending
from paceline_operator.core.situation.situation import Member, Situation
from paceline_operator.core.verdict.compare import meets_cheaper, slower, slower_than_others
from paceline_operator.core.verdict.errors import more_errors
from paceline_operator.core.verdict.pending import awaited_anew
from paceline_operator.core.verdict.restarts import blamed
from paceline_operator.core.verdict.rollback import deployed_since, on_trial, roll_back, under_judgement

LEAST_PODS: Final = 4
LEAST_SAMPLES: Final = 200
"""Fewer requests on the pods of a trial tell nothing, unless the policy is content with less."""


def tried_first(situation: Situation, decision: Decision) -> Decision:
    """The decision, for some pods at first if it can be tried; the sentence says so."""
    pods = _pods(situation) if _can_be_tried(situation, decision) else ()
    if not pods:
        return decision
    listed = ", ".join(map(str, decision.changes))
    where = f"trying {listed} on {len(pods)} of {situation.fleet.total} pods"
    return replace(decision, tried_on=pods, message=f"{where}: {decision.message.removeprefix(f'{listed}: ')}")


def described(pending: Pending, pods: int) -> str:
    """`workers 3→4 on 1 of 6 pods`."""
    return f"{', '.join(map(str, pending.changes))}{on_trial(pending, pods)}"


def without_trial(memory: Memory) -> Memory:
    """Every write but its own ends a trial."""
    pending = memory.pending
    return replace(memory, pending=None) if pending is not None and pending.tried_on else memory


def judge(situation: Situation, pending: Pending) -> tuple[Decision, Memory]:
    """Takes the trial back, gives it to all pods, or waits; and the memory after that."""
    void = _void(situation, pending)
    if void:
        message = f"{described(pending, situation.fleet.total)} given up, nothing learnt: {void}"
        back = _back(pending)
        return Decision(back, Reason.EXTERNAL_CHANGE, situation.evidence(message)), without_trial(situation.memory)
    members = [member for member in situation.fleet.members if member.uid in pending.tried_on]
    broken = _broken(situation, pending, members)
    if broken is not None:
        return broken
    tried, others = _measured(situation, situation.trial), _measured(situation, situation.observation)
    if tried is not None and others is not None and _of_one_kind(pending, tried, others):
        return _judged(situation, pending, tried, others)
    if situation.now >= pending.deadline and situation.observation is None:
        # Nobody could look at any pod: not at those that try it, and not at the others.
        memory = replace(situation.memory, pending=awaited_anew(situation, pending))
        return _waiting(situation, pending), memory
    if situation.now >= pending.deadline:
        why = "no verdict before its deadline: too little telemetry"
        return roll_back(situation, pending, Reason.ROLLED_BACK, why)
    return _waiting(situation, pending), situation.memory


def _waiting(situation: Situation, pending: Pending) -> Decision:
    waiting = f"trying {described(pending, situation.fleet.total)}: no verdict yet"
    return Decision((), Reason.COOLING_DOWN, situation.evidence(waiting))


def _can_be_tried(situation: Situation, decision: Decision) -> bool:
    pending, observation, objective = situation.memory.pending, situation.observation, situation.policy.objective
    if not decision.tuned or observation is None or objective is None or observation.left_out:
        return False
    if pending is not None and pending.tried_on:
        return False  # it has just been tried
    seconds = observation.response_seconds
    met = seconds is not None and seconds <= objective.limit.total_seconds()
    shared = decision.reason is Reason.DATABASE_SATURATED
    return met and not shared and bool(decision.changes) and all(map(_local, decision.changes))


def _local(change: Change) -> bool:
    return change.old is not None and change.tunable.descriptor.pod_local


def _pods(situation: Situation) -> tuple[str, ...]:
    """The next by uid after the one that tried something last, at most half of them; none where a window would tell too
    little."""
    sound = sorted(
        member.uid for member in situation.fleet.members if member.ready and member.applied and member.addressable
    )
    count = min(situation.policy.behavior.canaries(situation.fleet.total), len(sound) // 2)
    sound = sorted(sound, key=lambda uid: (uid <= situation.memory.tried, uid))
    observation = situation.observation
    if observation is None or len(sound) < LEAST_PODS:
        return ()
    expected = observation.requests * count / max(1, observation.pods)
    return tuple(sound[:count]) if expected >= _least(situation) else ()


def _least(situation: Situation) -> int:
    return min(LEAST_SAMPLES, situation.policy.behavior.min_samples)


def _measured(situation: Situation, observation: Observation | None) -> Measured | None:
    """None where a group of pods has not served enough to be judged."""
    if observation is None or not observation.sound or observation.requests < _least(situation):
        return None
    return Measured.of(observation)


def _of_one_kind(pending: Pending, tried: Measured, others: Measured) -> bool:
    """Whether all are of requests, or all of waits (`core/laws/streams.py`)."""
    found = (tried, others, pending.baseline, pending.past or pending.baseline)
    return len({each.figure.by_waits for each in found}) == 1


def _void(situation: Situation, pending: Pending) -> str:
    """Why the trial tells nothing; empty where it does."""
    if set(pending.tried_on) - {member.uid for member in situation.fleet.members}:
        return "a pod that tried it has gone"
    if deployed_since(situation, pending):
        return "the target was rolled out anew meanwhile"
    if situation.enough and growing(situation.values, apply_changes(situation.values, pending.changes)):
        return "the objective is met with room without it"
    return "" if _allowed(situation, pending) else "the policy no longer allows it"


def _allowed(situation: Situation, pending: Pending) -> bool:
    specs = situation.policy.tunables
    within = all(
        (spec := specs.get(change.tunable)) is not None
        and spec.pinned is None
        and spec.allowed(change.new) == change.new
        for change in pending.changes
    )
    return within and within_budgets(situation, under_judgement(situation.values, pending))


def _back(pending: Pending) -> tuple[Change, ...]:
    return tuple(Change(change.tunable, change.new, change.old) for change in pending.changes if change.old is not None)


def _broken(situation: Situation, pending: Pending, members: list[Member]) -> tuple[Decision, Memory] | None:
    """The way back where a pod restarted under the trial or does not grant what it asks for."""
    restarted = blamed(situation, pending)
    if restarted:
        return roll_back(situation, pending, *restarted, kept_from=True)
    for change in pending.changes:
        for member in members:
            granted = member.values.get(change.tunable, change.new)
            if member.applied and granted != change.new:
                why = f"a pod grants {change.tunable} {change.tunable.describe(granted)}"
                return roll_back(situation, pending, Reason.ROLLED_BACK, why, kept_from=True)
    return None


def _judged(situation: Situation, pending: Pending, tried: Measured, others: Measured) -> tuple[Decision, Memory]:
    objection = _objection(situation, pending, tried, others)
    if objection:
        decision, memory = roll_back(situation, pending, Reason.ROLLED_BACK, f"{objection} on the other pods")
        known = seen_on_trial(situation, under_judgement(situation.values, pending), tried)
        return decision, replace(memory, known=known)
    seen = f"{_told(tried)} where it was tried, {_text(others, tried)} elsewhere"
    message = (
        f"{', '.join(map(str, pending.changes))} for all pods, tried{on_trial(pending, situation.fleet.total)}: {seen}"
    )
    decision = Decision(
        pending.changes, pending.reason, situation.evidence(message), tuned=True, promised=pending.promised
    )
    return decision, without_trial(situation.memory)


def _objection(situation: Situation, pending: Pending, tried: Measured, others: Measured) -> str:
    past, allowed = pending.past, situation.allowed_error_ratio
    if more_errors(others, tried, allowed) and (past is None or more_errors(past, tried, allowed)):
        return f"errors {tried.error_ratio:.2%} where it was tried, {others.error_ratio:.2%}"
    if meets_cheaper(situation, tried):
        return ""
    if past is not None:
        return slower_than_others(situation, past, tried, pending.baseline, others)
    worse = slower(situation, others, tried)
    return f"{_told(tried)} where it was tried, {_text(others, tried)}" if worse else ""


def _told(measured: Measured) -> str:
    return measured.figure.told(measured.p95_seconds)


def _text(measured: Measured, beside: Measured) -> str:
    """Without the name of what it is of, where that is the same."""
    same = measured.figure.name == beside.figure.name
    return measured.figure.text(measured.p95_seconds) if same else _told(measured)
