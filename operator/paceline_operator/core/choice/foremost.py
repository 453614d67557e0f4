"""The best few settings that came into question, for whoever wants to see what a decision was chosen from."""

from dataclasses import dataclass
from itertools import islice
from typing import Final

from paceline_operator.core.choice.candidates import Candidate, candidates
from paceline_operator.core.choice.cost import Bar, cost
from paceline_operator.core.choice.learning import model_of, remembering, sound
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.policy import Objective, Prefer
from paceline_operator.core.model.tunables import Kind, Values
from paceline_operator.core.queueing.predict import Model
from paceline_operator.core.situation.situation import Situation

SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Option:
    """A setting with its p95 in seconds and its cost in [0, 1]."""

    values: Values
    p95_seconds: float
    measured: bool
    cost: float
    has_room: bool
    """Whether it meets the objective under the load to plan for."""

    def __str__(self) -> str:
        """`workers 2, postgres 5: p95 12.0ms predicted, cost 0.31, with room`"""
        listed = ", ".join(f"{tunable} {tunable.describe(value)}" for tunable, value in self.values.items())
        how, room = "measured" if self.measured else "predicted", "with room" if self.has_room else "without room"
        return f"{listed}: p95 {format_duration(self.p95_seconds)} {how}, cost {self.cost:.2f}, {room}"


def foremost(situation: Situation) -> tuple[Option, ...]:
    """The best first, as the policy prefers; empty where nothing can be predicted."""
    situation = sound(situation)
    model, objective = model_of(situation), situation.policy.objective
    if model is None or objective is None:
        return ()
    situation = remembering(situation, model)
    found = (_option(situation, model, objective, each) for each in candidates(situation, model, objective))
    one_each = {tuple(option.values.items()): option for option in found}
    return tuple(islice(sorted(one_each.values(), key=lambda option: _rank(objective, option)), SHOWN))


def _option(situation: Situation, model: Model, objective: Objective, candidate: Candidate) -> Option:
    sized = {t: value for t, value in candidate.values.items() if t.kind in (Kind.WORKERS, Kind.POOL)}
    room = Bar.of(situation, model, objective).met(candidate)
    return Option(sized, candidate.p95_seconds, candidate.measured, cost(situation, candidate.values), room)


def _rank(objective: Objective, option: Option) -> tuple[bool, float, float]:
    by_cost = objective.prefer is Prefer.COST and option.has_room
    first, then = (option.cost, option.p95_seconds) if by_cost else (option.p95_seconds, option.cost)
    return not option.has_room, first, then
