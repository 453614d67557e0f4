"""One scenario, one seed, one controller: interval by interval, played, reported, decided. No clock, no files."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

import numpy as np

from paceline_operator.core.measure.observe import PodWindow
from paceline_operator.core.measure.window import short_window
from paceline_operator.core.model.tunables import WORKERS, Values
from paceline_operator.simulation.autoscaler import scaled, wish
from paceline_operator.simulation.conditions import Conditions, conditions_at, rolling_out_at
from paceline_operator.simulation.controllers import Choice, Controller
from paceline_operator.simulation.objective import Judge, allowed
from paceline_operator.simulation.physics import Length, most_workers, simulate
from paceline_operator.simulation.scenario import Scenario
from paceline_operator.simulation.telemetry import distortion_at, report
from paceline_operator.simulation.view import View

SEEDS_APART: Final = 1000
SHORT_APART: Final = 1_000_000
PLAYED: Final = Length(60_000)
"""An interval is played for as long as so many requests take to come; settings are judged on more."""


@dataclass(frozen=True, slots=True)
class Step:
    """One interval: what it met, the values that served it, and what was chosen at its end; or the first seconds of one
    in which the controller did not wait for its end."""

    interval: int
    conditions: Conditions
    values: Values
    choice: Choice
    changed: bool
    unsafe: bool
    seconds: float | None = None
    """For which the values served, where a short window cut the interval; None: for the rest of it."""


@dataclass(slots=True)
class Run:
    """A run in progress. `steps` has the intervals so far, without the warm-up."""

    scenario: Scenario
    judge: Judge
    controller: Controller
    seed: int
    values: Values
    replicas: int
    generation: int = 0
    steps: list[Step] = field(default_factory=list)
    _played_short: int = 0
    _wishes: list[int] = field(default_factory=list)
    _unsafe: bool = False

    def play(self, progress: Callable[[], None] = lambda: None) -> list[Step]:
        """All intervals, after one to warm up in which nothing is decided."""
        for interval in range(-1, self.scenario.intervals):
            self._interval(interval)
            progress()
        return self.steps

    def _interval(self, interval: int) -> None:
        conditions = conditions_at(self.scenario, max(0, interval), self.replicas)
        scaled_now = bool(self.steps) and self.steps[-1].conditions.replicas != conditions.replicas
        rolling = rolling_out_at(self.scenario, interval)
        view = View(interval, conditions, self.values, self.generation, (), rolling, scaled_now)
        if self.scenario.active("operator-restart", interval):
            self.controller.restart()
        if interval >= 0:
            self._take(self.controller.constrain(view), conditions)
        last = self._watch(view) if interval >= 0 else 0.0
        windows = () if self._unseen else self._played(interval, conditions, PLAYED)
        if interval < 0:
            return
        # The window that follows a step is whole, too: it ends as much later.
        self._choose(replace(view, windows=windows, seconds=last))

    def _watch(self, view: View) -> float:
        """Short windows at the start of an interval, while the controller asks for them, as `core/measure/window.py`
        has them: after a step, one begins when as much time has passed again. Half of the interval stays whole.

        Returns the seconds from the interval's start to the last step.
        """
        length = short_window(timedelta(seconds=self.scenario.interval))
        seconds, settle, since = 0.0, 0.0, 0.0
        while length is not None and self.controller.watchful and not self._unseen:
            seconds += settle + length.total_seconds()
            if seconds > self.scenario.interval / 2:
                break
            windows = self._played(view.interval, view.conditions, Length(0, round(length.total_seconds())))
            changed = self._choose(replace(view, windows=windows, seconds=seconds, short=True), seconds - since)
            since, settle = (seconds, length.total_seconds()) if changed else (since, 0.0)
        return since

    def _choose(self, view: View, served: float | None = None) -> bool:
        """Lets the controller choose, and notes the step; a short window without a change is none."""
        running, conditions = self.values, view.conditions
        choice = self.controller.choose(replace(view, values=running, generation=self.generation))
        unsafe = self._unsafe or not self._allowed(conditions, running)
        self._unsafe = False
        changed = self._take(choice, conditions)
        if changed or not view.short:
            self.steps.append(Step(view.interval, conditions, running, choice, changed, unsafe, served))
        return changed

    @property
    def _unseen(self) -> bool:
        return self.controller.blind and self.scenario.hpa is None

    def _played(self, interval: int, conditions: Conditions, length: Length) -> tuple[PodWindow, ...]:
        """What the pods report of the interval, or of a short window in it; an autoscaler looks on at the whole."""
        short = length is not PLAYED
        self._played_short += short
        played = simulate(
            self.scenario,
            conditions,
            self.judge.tuned,
            self.values,
            seed=self.seed * SEEDS_APART + interval + 1 + short * SHORT_APART * self._played_short,
            length=length,
        )
        if not short:
            self._autoscale(float(played.pods["cpu_seconds"].sum() / played.seconds / len(played.pods)))
        return report(
            self.scenario,
            conditions,
            self.judge.tuned,
            self.values,
            played,
            interval=interval,
            generation=self.generation,
            distortion=distortion_at(self.scenario, interval),
            rng=np.random.default_rng((self.seed, interval + 1, *([self._played_short] if short else []))),
        )

    def _take(self, choice: Choice, conditions: Conditions) -> bool:
        """Puts a choice in force; one that breaks a hard constraint is an unsafe trial."""
        if choice.values == self.values:
            return False
        self._unsafe = self._unsafe or not self._allowed(conditions, choice.values)
        self.values = choice.values
        self.generation += 1
        return True

    def _allowed(self, conditions: Conditions, values: Values) -> bool:
        # A pod clamps workers to its memory by itself.
        clamped = {**values, WORKERS: min(values.get(WORKERS, 1), most_workers(self.scenario))}
        return allowed(self.scenario, self.judge.policy, conditions, clamped)

    def _autoscale(self, cores_used: float) -> None:
        if self.scenario.hpa is None:
            return
        self._wishes.append(wish(self.scenario.hpa, self.replicas, cores_used / self.scenario.fleet.cpu))
        self.replicas = scaled(self.replicas, self._wishes)
