"""Between two passes: short looks at the pods that have not acked, further and further apart. Nobody else is asked."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from paceline_operator.loop.gather import Gathered
from paceline_operator.loop.left_out import acked
from paceline_operator.ports import Pod, Telemetry

FIRST: Final = timedelta(seconds=2)
"""Until the first look; each one after it takes twice as long to come."""


@dataclass(frozen=True, slots=True)
class Looks:
    """At whom, for which generation, how often so far, and when the next whole pass is due."""

    generation: int
    missing: tuple[Pod, ...]
    due: datetime
    made: int = 0

    def wait(self, now: datetime) -> timedelta:
        """Until the next look, or the whole pass where that comes first or nobody can be asked."""
        rest = max(self.due - now, timedelta())
        return min(FIRST * 2**self.made, rest) if self.missing else rest


def planned(gathered: Gathered, generation: int, before: Looks | None, due: datetime) -> Looks:
    """After a whole pass. Looks for one generation are counted on: a pod that never acks costs ever less."""
    missing = (pod for pod in gathered.pods if pod.state_url is not None and pod.trouble is None)
    silent = tuple(pod for pod in missing if not _has_acked(gathered, pod, generation))
    made = before.made if before is not None and before.generation == generation else 0
    return Looks(generation, silent, due, made)


async def look(telemetry: Telemetry, looks: Looks) -> Looks | None:
    """One look; None where a pod has acked, so that a whole pass is due."""
    acks = await telemetry.acks(looks.missing)
    return None if looks.generation in acks.values() else replace(looks, made=looks.made + 1)


def _has_acked(gathered: Gathered, pod: Pod, generation: int) -> bool:
    state = gathered.states.get(pod.uid)
    return state is not None and acked(state, generation)
