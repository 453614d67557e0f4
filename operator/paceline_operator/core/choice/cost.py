"""The cheapest setting that meets the objective with room, and what is given back of the one in force.

Growing is decided by one window. Giving back is not: what is wanted is remembered for `behavior.stabilizationWindows`,
and the largest of it wins, as in a HorizontalPodAutoscaler.

Worked example: five windows want 2, 2, 3, 2 and 2 workers, 4 are in force → 3; one window later, if it wants 2, too,
still 3, and 2 once the window that wanted 3 is no longer among the last five.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from paceline_operator.core.choice.candidates import Candidate, candidates, judged
from paceline_operator.core.model.decision import growing
from paceline_operator.core.model.policy import Objective, Prefer
from paceline_operator.core.model.tunables import WORKERS, Kind, Values
from paceline_operator.core.queueing.predict import Model
from paceline_operator.core.situation.memory import Memory, Rejected
from paceline_operator.core.situation.room import expected_p95, planned_rise
from paceline_operator.core.situation.situation import Situation

MARGIN: Final = 0.9
"""What is predicted must stay below this share of the objective: the prediction may be wrong."""
MEASURED_MARGIN: Final = 0.97
"""The same for what has been measured."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What a setting must clear: the objective, in seconds, under the load to plan for."""

    situation: Situation
    model: Model
    seconds: float
    rise: float

    @classmethod
    def of(cls, situation: Situation, model: Model, objective: Objective) -> "Bar":
        return cls(situation, model, objective.limit.total_seconds(), planned_rise(situation))

    def met(self, candidate: Candidate) -> bool:
        """Whether there is room for the prediction to be wrong."""
        return self._below(candidate, MEASURED_MARGIN if candidate.measured else MARGIN)

    def bearable(self, candidate: Candidate) -> bool:
        """Whether it may stay, if it is in force."""
        return self._below(candidate, 1.0)

    def expected(self, candidate: Candidate) -> float | None:
        """Its p95 under the load to plan for, in seconds; None where a queue would be full."""
        return expected_p95(self.situation, self.model, candidate.values, candidate.p95_seconds, self.rise)

    def _below(self, candidate: Candidate, share: float) -> bool:
        expected = self.expected(candidate)
        return expected is not None and expected <= share * self.seconds


def bears(situation: Situation, model: Model, objective: Objective) -> bool:
    """Whether the values in force would meet the objective with room, by what is known or predicted of them."""
    current = judged(situation, model, situation.values)
    kept = current is not None and Bar.of(situation, model, objective).bearable(current)
    return kept and objective.prefer is Prefer.COST


def wanting(situation: Situation, model: Model, objective: Objective) -> Memory:
    """The memory with the setting that this window wants: the cheapest that will do, else the one in force."""
    best = cheapest(situation, Bar.of(situation, model, objective), candidates(situation, model, objective))
    wanted = _sized(situation.values if best is None else best.values)
    windows = situation.policy.behavior.stabilization_windows
    return replace(situation.memory, wanted=(*situation.memory.wanted, wanted)[-windows:])


def stabilized(situation: Situation) -> Values:
    """What may be given back: the largest of what was wanted of late; what is in force until enough is known."""
    wanted = situation.memory.wanted
    if len(wanted) < situation.policy.behavior.stabilization_windows:
        return situation.values
    allowed = [{**situation.values, **_within_bounds(situation, values)} for values in wanted]
    return max(allowed, key=lambda values: cost(situation, values))


def _sized(values: Values) -> Values:
    """What the cost is of."""
    return {tunable: value for tunable, value in values.items() if tunable.kind in (Kind.WORKERS, Kind.POOL)}


def _within_bounds(situation: Situation, values: Values) -> Values:
    """What may still be set of it: the policy may have changed since."""
    specs = situation.policy.tunables
    return {t: specs[t].allowed(v) for t, v in values.items() if t in specs and specs[t].bounds is not None}


def cheapest(situation: Situation, bar: Bar, found: Iterable[Candidate]) -> Candidate | None:
    """The cheapest of the candidates, and of what is left of them when connections are taken away; None where none of
    them meets the objective with room. Where it is met already, nothing that needs more of anything counts."""
    lean = (fewer for candidate in found for fewer in _leaner(situation, bar, candidate))
    allowed = (option for option in lean if not (situation.enough and growing(situation.values, option.values)))
    untried = (option for option in allowed if not too_little(situation, option.values))
    return min(untried, key=lambda candidate: (cost(situation, candidate.values), candidate.p95_seconds), default=None)


def too_little(situation: Situation, values: Values) -> bool:
    """Whether as much, or more, has not done of late: what was outgrown or taken back is not gone back to at once."""
    lately = (rejected for rejected in situation.memory.rejected if situation.now < rejected.until)
    return values != situation.values and any(_as_little(tried, values) for tried in lately)


def _as_little(rejected: Rejected, values: Values) -> bool:
    """Of what had to grow together, each must be more than it was: more connections for as few workers did not do."""
    if rejected.grown:
        tried = {str(tunable): value for tunable, value in rejected.values.items()}
        return any(str(t) in rejected.grown and value <= tried.get(str(t), 0.0) for t, value in values.items())
    return not growing(rejected.values, _sized(values))


def cost(situation: Situation, values: Values) -> float:
    """The mean share of workers, of the memory they take, and of connections, of what is allowed; in [0, 1]."""
    shares = []
    workers = values.get(WORKERS, 1.0)
    spec, room = situation.policy.tunables.get(WORKERS), None
    if situation.observation is not None:
        room = situation.observation.most_workers
    if spec is not None and spec.bounds is not None:
        shares.append(workers / spec.bounds.maximum)
    most_workers = shares[0] if shares else 1.0
    if shares and room:
        shares.append(min(1.0, workers / room))
    for tunable, spec in situation.policy.tunables.items():
        if tunable.kind is Kind.POOL and spec.bounds is not None and tunable in values:
            shares.append(most_workers * values[tunable] / spec.bounds.maximum)
    return sum(shares) / len(shares) if shares else 0.0


def _leaner(situation: Situation, bar: Bar, candidate: Candidate) -> Iterable[Candidate]:
    """The candidate, and with it connections taken away one at a time where that costs least, while it meets the
    objective."""
    left: Candidate | None = candidate if bar.met(candidate) else None
    while left is not None:
        yield left
        fewer = (judged(situation, bar.model, values) for values in _one_less(situation, left.values))
        usable = (option for option in fewer if option is not None and bar.met(option))
        left = min(usable, key=lambda option: option.p95_seconds, default=None)


def _one_less(situation: Situation, values: Values) -> Iterable[Values]:
    for tunable, spec in situation.policy.tunables.items():
        size = values.get(tunable)
        if tunable.kind is Kind.POOL and spec.bounds is not None and size is not None and size > spec.bounds.minimum:
            yield {**values, tunable: size - 1}
