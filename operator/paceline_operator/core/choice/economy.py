"""The cheapest setting that meets the objective: under the load there is, and under the one that is coming."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from paceline_operator.core.choice.candidates import Candidate, judged, named_pools
from paceline_operator.core.model.tunables import WORKERS, Kind, Values
from paceline_operator.core.queueing.predict import Model
from paceline_operator.core.situation.situation import Situation

MARGIN: Final = 0.9
"""What is predicted must stay below this share of the objective: the prediction may be wrong."""
MEASURED_MARGIN: Final = 0.97
"""The same for what has been measured."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What a setting must clear: the objective, in seconds, under `rise` times the load that `model` was fitted to."""

    seconds: float
    model: Model
    rise: float = 1.0

    def met(self, candidate: Candidate) -> bool:
        """Whether there is room for the prediction to be wrong."""
        expected = self._expected(candidate)
        margin = MEASURED_MARGIN if candidate.measured else MARGIN
        return expected is not None and expected <= margin * self.seconds

    def bearable(self, candidate: Candidate) -> bool:
        """Whether it may stay, if it is in force."""
        expected = self._expected(candidate)
        return expected is not None and expected <= self.seconds

    def _expected(self, candidate: Candidate) -> float | None:
        """The p95 to come: what is known of it now, times what the model says that the rise adds."""
        if self.rise == 1.0:
            return candidate.p95_seconds
        workers, pools = candidate.values.get(WORKERS, 1.0), named_pools(candidate.values)
        now, then = self.model.p95(workers, pools), self.model.under(self.rise).p95(workers, pools)
        return candidate.p95_seconds * then / now if now and then else None


def cheapest(situation: Situation, bar: Bar, found: Iterable[Candidate]) -> Candidate | None:
    """The cheapest of the candidates, and of what is left of them when connections are taken away; None where none of
    them meets the objective."""
    lean = (fewer for candidate in found for fewer in _leaner(situation, bar, candidate))
    return min(lean, key=lambda candidate: (cost(situation, candidate.values), candidate.p95_seconds), default=None)


def cost(situation: Situation, values: Values) -> float:
    """The mean share of workers and connections of the most that is allowed, in [0, 1]."""
    shares = []
    workers = values.get(WORKERS, 1.0)
    spec = situation.policy.tunables.get(WORKERS)
    if spec is not None and spec.bounds is not None:
        shares.append(workers / spec.bounds.maximum)
    for tunable, spec in situation.policy.tunables.items():
        if tunable.kind is Kind.POOL and spec.bounds is not None and tunable in values:
            most_workers = shares[0] if shares else 1.0
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
