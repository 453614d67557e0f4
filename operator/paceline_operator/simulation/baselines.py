"""The simpler ways of choosing that Paceline is compared with.

All begin with the scenario's start values and act at the end of interval 0 for the first time, as Paceline does: a
rule of thumb is put in force then. Only `static`, which knows the best setting beforehand, has it from interval 0 on.
"""

import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from math import ceil
from types import MappingProxyType
from typing import Final

import numpy as np

from paceline_operator.core.measure.observe import observe
from paceline_operator.core.model.tunables import WORKERS, Kind, Values
from paceline_operator.simulation.controllers import Choice, Controller, Paceline
from paceline_operator.simulation.objective import Judge, allowed
from paceline_operator.simulation.scenario import Scenario
from paceline_operator.simulation.view import View

LIBRARY_POOL: Final = 15
"""What SQLAlchemy opens without being told: 5, and 10 more in need."""


@dataclass(slots=True)
class Fixed:
    """Values that stay, whatever happens, once they are in force: after interval 0, or `beforehand`."""

    values: Values
    beforehand: bool = False
    blind: bool = True
    watchful: bool = False

    def constrain(self, view: View) -> Choice:
        return Choice(self.values if self.beforehand else view.values, "Fixed")

    def choose(self, view: View) -> Choice:
        return Choice(self.values, "Fixed", p95=measured_p95(view))

    def restart(self) -> None:
        """Nothing to lose."""


@dataclass(slots=True)
class Search:
    """Tries settings at random for half of the intervals, then keeps the one with the best p95 seen."""

    judge: Judge
    trials: int
    rng: np.random.Generator
    tried: list[tuple[float, Values]] = field(default_factory=list)
    blind: bool = False
    watchful: bool = False

    def constrain(self, view: View) -> Choice:
        return Choice(view.values, "Search")

    def choose(self, view: View) -> Choice:
        p95 = measured_p95(view)
        if p95 is not None:
            self.tried.append((p95, view.values))
        if len(self.tried) < self.trials:
            return Choice(self.suggest(view), "Trial", p95=p95, probe=True)
        usable = [values for _, values in sorted(self.tried, key=lambda tried: tried[0]) if self._allowed(view, values)]
        return Choice(usable[0] if usable else view.values, "BestSeen", p95=p95)

    def suggest(self, view: View) -> Values:
        """The next setting to try."""
        candidates = list(self.judge.candidates(view.conditions))
        return candidates[int(self.rng.integers(len(candidates)))]

    def restart(self) -> None:
        self.tried.clear()

    def _allowed(self, view: View, values: Values) -> bool:
        return allowed(self.judge.scenario, self.judge.policy, view.conditions, values)


class Bayes(Search):
    """The same with Gaussian processes (bayesian-optimization): each trial where an improvement is most likely."""

    def suggest(self, view: View) -> Values:
        from bayes_opt import BayesianOptimization

        candidates = list(self.judge.candidates(view.conditions))
        names = {str(tunable): tunable for tunable in candidates[0] if len({c[tunable] for c in candidates}) > 1}
        bounds = {name: (min(c[t] for c in candidates), max(c[t] for c in candidates)) for name, t in names.items()}
        optimizer = BayesianOptimization(
            f=None, pbounds=bounds, random_state=int(self.rng.integers(2**31)), verbose=0, allow_duplicate_points=True
        )
        # It prints what it is told twice, and warns of a Gaussian process that has seen two points.
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            for p95, values in self.tried:
                optimizer.register(params={name: values[t] for name, t in names.items()}, target=-np.log(p95))
            asked = {name: float(value) for name, value in optimizer.suggest().items()}

        def distance(candidate: Values) -> float:
            widths = {name: (high - low) or 1.0 for name, (low, high) in bounds.items()}
            return sum(((candidate[t] - asked[name]) / widths[name]) ** 2 for name, t in names.items())

        return min(candidates, key=distance)


def measured_p95(view: View) -> float | None:
    """Of the interval, as pods reported it."""
    observation = observe(view.windows)
    return observation.p95 if observation else None


def with_sizes(scenario: Scenario, start: Values, workers: int, pool: int | None = None) -> Values:
    """The start values with a worker count and, where it is given, one size for every pool."""
    sizes = {t: float(pool) for t in start if t.kind is Kind.POOL} if pool else {}
    return {**start, WORKERS: float(workers), **sizes}


Maker = Callable[[Judge, Values, int], Controller]


def _paceline(judge: Judge, start: Values, seed: int) -> Controller:
    return Paceline(judge.scenario, judge.policy)


def _hold(judge: Judge, start: Values, seed: int) -> Controller:
    return Fixed(start)


def _static(judge: Judge, start: Values, seed: int) -> Controller:
    return Fixed(judge.best_throughout(), beforehand=True)


def _defaults(judge: Judge, start: Values, seed: int) -> Controller:
    return Fixed(with_sizes(judge.scenario, start, 1, LIBRARY_POOL))


def _double_cores(judge: Judge, start: Values, seed: int) -> Controller:
    return Fixed(with_sizes(judge.scenario, start, ceil(2 * judge.scenario.fleet.cpu) + 1, LIBRARY_POOL))


def _cores(judge: Judge, start: Values, seed: int) -> Controller:
    return Fixed(with_sizes(judge.scenario, start, ceil(judge.scenario.fleet.cpu)))


def _random(judge: Judge, start: Values, seed: int) -> Controller:
    return Search(judge, judge.scenario.intervals // 2, np.random.default_rng(seed))


def _bayes(judge: Judge, start: Values, seed: int) -> Controller:
    return Bayes(judge, judge.scenario.intervals // 2, np.random.default_rng(seed))


CONTROLLERS: Final[Mapping[str, tuple[Maker, str]]] = MappingProxyType(
    {
        "paceline": (_paceline, "the operator's own core"),
        "hpa": (_hold, "the start values; a HorizontalPodAutoscaler adds and removes pods"),
        "static": (_static, "the best single setting over the whole run, as if known beforehand"),
        "random": (_random, "tries at random for half of the run, then keeps the best seen"),
        "bayes": (_bayes, "the same with Bayesian optimisation"),
        "start": (_hold, "the start values, untouched"),
        "defaults": (_defaults, "one worker, 5 + 10 connections: what libraries do untold"),
        "double-cores": (_double_cores, "2 · cores + 1 workers, 5 + 10 connections each"),
        "cores": (_cores, "a worker a core, the pool of the start values"),
    }
)
"""By name, with a line of explanation."""
