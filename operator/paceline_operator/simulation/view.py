"""What a controller is shown of an interval, and the fleet that the operator would have seen then."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from paceline_operator.core.measure.observe import PodWindow
from paceline_operator.core.model.tunables import Values
from paceline_operator.core.situation.situation import Ended, Fleet, LeftOut, Member
from paceline_operator.simulation.conditions import Conditions, template_at
from paceline_operator.simulation.physics import MOST_PODS, scaled_down
from paceline_operator.simulation.scenario import Scenario

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
CONTAINER: Final = "api"


@dataclass(frozen=True, slots=True)
class View:
    """What a controller is shown at the end of an interval. `windows` is empty before the first one."""

    interval: int
    conditions: Conditions
    values: Values
    generation: int
    windows: tuple[PodWindow, ...] = ()
    rolling_out: bool = False
    scaled: bool = False
    """The number of pods has just changed."""
    seconds: float = 0.0
    """Of the interval that have passed."""
    short: bool = False
    """`windows` are of a few seconds, and the interval goes on."""

    @property
    def pods(self) -> int:
        """As many as are simulated and serve."""
        return min(MOST_PODS, self.conditions.serving)

    @property
    def broken(self) -> int:
        """As many as are simulated and do not."""
        return scaled_down(self.conditions.broken_pods, self.conditions.serving / self.pods)


def fleet_of(scenario: Scenario, view: View, now: datetime) -> Fleet:
    """The pods as the operator sees them. No pod can be given values of its own: nothing is tried on single ones."""
    total = view.pods + view.broken
    broken = tuple(f"pod-{number}" for number in range(view.pods, total))
    serving = (Member(f"pod-{number}", True, True, False, _ended(scenario, number, now)) for number in range(view.pods))
    return Fleet(
        total=total,
        reporting=len(view.windows) or view.pods,
        applied=view.pods,
        generation=view.generation,
        rolling_out=view.rolling_out,
        replicas=view.conditions.replicas,
        template=template_at(scenario, view.interval),
        members=(*serving, *(Member(name, False, False, False) for name in broken)),
        idle=view.broken,
        left_out=tuple(LeftOut(name, "Pending", "no node has room for it") for name in broken),
    )


def _ended(scenario: Scenario, pod: int, now: datetime) -> tuple[Ended, ...]:
    """The last time that a pod's container ended by itself, in the middle of an interval."""
    ends = [end for end in _restarts(scenario, pod) if end <= now]
    return (Ended(CONTAINER, ends[-1], len(ends)),) if ends else ()


def _restarts(scenario: Scenario, pod: int) -> Iterator[datetime]:
    for interval in range(scenario.intervals):
        fault = scenario.active("restarts", interval)
        if fault is not None and pod < fault.pods:
            yield START + (interval + 0.5) * timedelta(seconds=scenario.interval)
