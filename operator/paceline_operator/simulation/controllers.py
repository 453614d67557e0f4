"""Who chooses the next values, and Paceline's own core as one of them."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from paceline_operator.core.decide import decide
from paceline_operator.core.laws.swamped import swamped
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.measure.observe import observe
from paceline_operator.core.model.decision import Decision, Reason, apply_changes
from paceline_operator.core.model.policy import Policy
from paceline_operator.core.model.tunables import Values
from paceline_operator.core.model.values import values_to_wire
from paceline_operator.core.situation.memory import Memory
from paceline_operator.core.situation.situation import Budget, Situation
from paceline_operator.core.verdict.pending import remember
from paceline_operator.crd.memory import parse_memory, render_pending, render_tuner
from paceline_operator.simulation.objective import budget, worst_case_pods
from paceline_operator.simulation.scenario import Scenario
from paceline_operator.simulation.view import START, View, fleet_of


@dataclass(frozen=True, slots=True)
class Choice:
    """The values from now on. `probe`: tried out of curiosity, nothing was wrong."""

    values: Values
    reason: str
    message: str = ""
    p95: float | None = None
    probe: bool = False


class Controller(Protocol):
    """One run's. `constrain` is asked when an interval begins, `choose` when it has been measured."""

    @property
    def blind(self) -> bool:
        """Whether it looks at nothing that is measured: then nothing need be played."""

    @property
    def watchful(self) -> bool:
        """Whether it asks for a short window before the interval is over."""

    def constrain(self, view: View) -> Choice:
        """The values after what has to be mended at once: budgets and bounds."""

    def choose(self, view: View) -> Choice:
        """The values for the next interval, or for the rest of this one where the view is short."""

    def restart(self) -> None:
        """The process is replaced: what it kept to itself is gone."""


@dataclass(slots=True)
class Paceline:
    """The very core of the operator. What it remembers goes through the form that is stored."""

    scenario: Scenario
    policy: Policy
    memory: Memory = field(default_factory=Memory)
    blind: bool = False
    watchful: bool = True

    def constrain(self, view: View) -> Choice:
        decision, memory = decide(self._situation(view, None, view.interval))
        return self._adopt(view, self._situation(view, None, view.interval), decision, memory, None)

    def choose(self, view: View) -> Choice:
        observation = observe(view.windows, self.policy.objective)
        situation = self._situation(view, observation, view.interval + (0 if view.short else 1))
        self.watchful = bool(swamped(situation))
        decision, memory = decide(situation)
        if view.short and not decision.changes:
            return Choice(view.values, decision.reason.value, decision.message)
        return self._adopt(view, situation, decision, memory, observation)

    def restart(self) -> None:
        self.watchful = True
        status: dict[str, Any] = {"tuning": {"lastKnownGood": values_to_wire(self.memory.last_known_good)}}
        if self.memory.pending is not None:
            status["pending"] = render_pending(self.memory.pending)
        self.memory = parse_memory(render_tuner(self.memory), status)

    def _adopt(
        self, view: View, situation: Situation, decision: Decision, memory: Memory, observation: Observation | None
    ) -> Choice:
        if observation is None and not decision.changes:
            return Choice(view.values, decision.reason.value, decision.message)
        self.memory = remember(situation, memory, decision, view.generation + 1) if decision.changes else memory
        return Choice(
            apply_changes(view.values, decision.changes),
            decision.reason.value,
            decision.message,
            observation.response_seconds if observation else None,
            probe=decision.reason is Reason.PROBE,
        )

    def _situation(self, view: View, observation: Observation | None, intervals: int) -> Situation:
        now = START + intervals * timedelta(seconds=self.scenario.interval) + timedelta(seconds=view.seconds)
        return Situation(
            policy=self.policy,
            values=view.values,
            fleet=fleet_of(self.scenario, view, now),
            now=now,
            observation=observation,
            memory=self.memory,
            short=view.short,
            budgets=self._budgets(view),
        )

    def _budgets(self, view: View) -> dict[str, Budget]:
        names = {spec.budget for spec in self.policy.tunables.values() if spec.budget}
        pods = worst_case_pods(self.scenario, self.policy, view.conditions)
        return {name: Budget(budget(self.scenario, view.conditions), pods) for name in names}
