"""Picks a setting among the candidates: with `prefer: cost` the cheapest that meets the objective with room, with
`prefer: latency` the fastest. What is in force stays unless another gains enough to be worth a change.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from paceline_operator.core.choice.candidates import Candidate, candidates, judged
from paceline_operator.core.choice.cost import Bar, cheapest, cost, stabilized
from paceline_operator.core.guards.limits import TRUSTED
from paceline_operator.core.laws.constraints import budgeted, connections_per_worker
from paceline_operator.core.model.decision import growing
from paceline_operator.core.model.policy import Objective, Prefer
from paceline_operator.core.model.tunables import WORKERS, Values
from paceline_operator.core.queueing.predict import Model
from paceline_operator.core.situation.doubts import trusted_share
from paceline_operator.core.situation.experience import noise_of
from paceline_operator.core.situation.situation import Situation
from paceline_operator.core.verdict.bought import LEAST_STEP

EQUAL: Final = 0.02
"""Settings whose p95 differs by no more than this share are equally fast: the cheaper one is chosen."""
KNOWN_BETTER: Final = 0.03
"""By how much what was measured must be better than what is in force, beyond the noise."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The setting to go to, the one in force, and the share of p95 or of cost that is gained."""

    best: Candidate
    current: Candidate
    gain: float


def choose(situation: Situation, model: Model, objective: Objective) -> Choice | None:
    """The best setting; None where the one in force is as good as any, or nothing can be predicted."""
    current = judged(situation, model, situation.values)
    if current is None:
        return None
    if objective.prefer is Prefer.COST:
        return _cheapest(situation, model, objective, current)
    return _fastest(situation, candidates(situation, model, objective), current)


def least_gain(situation: Situation) -> float:
    """Half of the policy's tolerance: a predicted gain below it is not worth a change."""
    return situation.policy.behavior.tolerance / 2


def budget_binds(situation: Situation, values: Values) -> bool:
    """Whether one more connection a worker would break a budget."""
    workers = values.get(WORKERS, 1.0)
    return any(
        sum(values[spec.tunable] for spec in specs) + 1 > connections_per_worker(situation, name, workers)
        for name, specs in budgeted(situation)
    )


def _fastest(situation: Situation, found: Iterable[Candidate], current: Candidate) -> Choice | None:
    others = [candidate for candidate in found if _worth(situation, candidate, current)]
    if not others:
        return None
    least = min(candidate.p95_seconds for candidate in others)
    equal = [candidate for candidate in others if candidate.p95_seconds <= least * (1 + EQUAL)]
    best = min(equal, key=lambda candidate: (cost(situation, candidate.values), candidate.p95_seconds))
    return Choice(best, current, 1 - best.p95_seconds / current.p95_seconds)


def _worth(situation: Situation, candidate: Candidate, current: Candidate) -> bool:
    if candidate.values == situation.values:
        return False
    gain = 1 - candidate.p95_seconds / current.p95_seconds
    objective = situation.policy.objective
    met = objective is not None and current.p95_seconds <= objective.limit.total_seconds()
    # While the objective is missed, a doubtful gain is worth a try; once it is met, calm is.
    noise = noise_of(situation.memory) if met else 0.0
    for_speed = met and objective is not None and objective.prefer is Prefer.LATENCY
    if for_speed and gain < LEAST_STEP and growing(situation.values, candidate.values):
        return False
    return gain > noise + (KNOWN_BETTER if candidate.measured else least_gain(situation))


def _cheapest(situation: Situation, model: Model, objective: Objective, current: Candidate) -> Choice | None:
    bar = Bar.of(situation, model, objective)
    if situation.enough:
        return _given_back(situation, model, bar, current)
    if bar.bearable(current):
        return None  # it is not p95 that misses the objective
    if current.p95_seconds <= bar.seconds and _had_room(situation):
        return None  # that the room is short by chance is told by another window
    found = list(candidates(situation, model, objective))
    best = cheapest(situation, bar, found)
    if best is None:
        return _nearest(situation, bar, found, current)
    return Choice(best, current, 1.0)  # another one: it meets what the one in force misses


def _nearest(situation: Situation, bar: Bar, found: Iterable[Candidate], current: Candidate) -> Choice | None:
    """Where nothing has the room: what is fastest under the load to plan for, not what is fastest now.

    What is fastest now may be a worker for each request in flight, which stands in its neighbours' way once more come.
    More of what has gained nothing is not tried for the room, either.
    """
    trusted = [each for each in found if trusted_share(situation, each.values) >= TRUSTED]
    expected = [(seconds, each) for each in trusted if (seconds := bar.expected(each)) is not None]
    now = bar.expected(current)
    if not expected or now is None:
        return _fastest(situation, [each for _, each in expected] or trusted, current)
    least = min(seconds for seconds, _ in expected)
    equal = [each for seconds, each in expected if seconds <= least * (1 + EQUAL)]
    best = min(equal, key=lambda candidate: (cost(situation, candidate.values), candidate.p95_seconds))
    gain = 1 - least / now
    return Choice(best, current, gain) if gain > least_gain(situation) and best.values != situation.values else None


def _had_room(situation: Situation) -> bool:
    """Whether what is in force was judged to do, and the window before this one wanted no more."""
    lately, good = situation.memory.wanted[-2:], situation.memory.last_known_good
    judged_good = bool(good) and all(situation.values.get(tunable) == value for tunable, value in good.items())
    return judged_good and len(lately) == 2 and not growing(situation.values, {**situation.values, **lately[0]})


def _given_back(situation: Situation, model: Model, bar: Bar, current: Candidate) -> Choice | None:
    """What has not been needed for some windows, if that is worth a change."""
    best, now = judged(situation, model, stabilized(situation)), cost(situation, situation.values)
    if best is None or not bar.met(best) or growing(situation.values, best.values):
        return None
    gain = 1 - cost(situation, best.values) / now if now else 0.0
    return Choice(best, current, gain) if gain > least_gain(situation) else None
