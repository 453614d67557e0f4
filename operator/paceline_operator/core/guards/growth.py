"""What is met is left alone: with `prefer: cost`, nothing grows while the objective is met with room.

The rule holds for whatever a law has decided, on whichever way it came about. What a person or a bound demands, and the
way back to what ran before, are not asked.
"""

from paceline_operator.core.guards.gates import Hold
from paceline_operator.core.laws.recommend import Proposal
from paceline_operator.core.model.decision import Decision, Reason, apply_changes, growing
from paceline_operator.core.model.tunables import Tunable
from paceline_operator.core.situation.situation import Situation


def enough(situation: Situation, proposal: Proposal) -> Proposal | Hold:
    """The limit that every proposal passes last."""
    more = growing(situation.values, apply_changes(situation.values, proposal.changes)) if situation.enough else ()
    return Hold(Reason.WITHIN_TOLERANCE, f"{proposal.finding.evidence}; {_why(more)}") if more else proposal


def left_alone(situation: Situation, decision: Decision) -> Decision:
    """The same for a whole decision, with all that came along with the proposal."""
    if not situation.enough or not decision.tuned:
        return decision
    more = growing(situation.values, apply_changes(situation.values, decision.changes))
    if not more:
        return decision
    return Decision((), Reason.WITHIN_TOLERANCE, situation.evidence(_why(more)), decision.changes)


def _why(more: tuple[Tunable, ...]) -> str:
    return f"the objective is met with room, so {', '.join(map(str, more))} need not grow"
