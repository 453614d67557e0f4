"""Whether the objective is met with room to spare: at 1.25 times the load of the busiest minute of the last hour.

Growing is judged by what the busiest minute will bring, not by the window that happens to be measured; and a service
that has this room needs nothing more. The loads are of one pod, so that a change of replicas is no change of the room.

Worked example: 80 requests a second now, 105 in the busiest minute of the last hour, of which 5 % are chance: settings
are judged at 1.25 · 100 / 80 = 1.56 times the load that was measured.
"""

from datetime import datetime, timedelta
from typing import Final

from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.policy import Objective, Prefer
from paceline_operator.core.model.tunables import WORKERS, Kind, Values
from paceline_operator.core.queueing.predict import Model
from paceline_operator.core.queueing.queueing import BURSTINESS
from paceline_operator.core.queueing.waits import FULL
from paceline_operator.core.situation.experience import deviation, load_of, recall, recall_nearest, same_load
from paceline_operator.core.situation.memory import Busy, Noise
from paceline_operator.core.situation.situation import Situation

HEADROOM: Final = 1.25
"""Times the load of the busiest minute that a setting must bear."""
REMEMBERED: Final = timedelta(hours=1)
SLOT: Final = timedelta(minutes=5)
"""The busiest minute is remembered by slots of this length: thirteen at most."""
MOST_SLOTS: Final = REMEMBERED // SLOT + 1
NOISY: Final = 0.08
"""From this noise on a single window tells nothing: the objective counts as missed once two in a row say so, and its
room once it is missing by more than the noise."""
P99: Final = 2.326
"""Standard deviations from the mean to the 99th percentile of a normal distribution."""
BUSY_SECOND: Final = 1 + 0.8 * (BURSTINESS - 1) / P99
"""Over the mean load: most of what makes p95 comes in seconds that are busier, where a queue that is nearly full grows
more than it shrinks in the calm ones. 0.8 standard deviations told best, of 21 settings of the scenarios played at 1.25
times their load, which of them have the room: 15, where none told 12."""
BY_CHANCE: Final = 1.05
"""What the busiest of some dozen windows has above their mean, where the load stays: busy seconds count already."""
TURNED_AWAY: Final = 0.001
"""Share of the requests that pods may turn away while the objective counts as met: a burst now and then."""


def with_window(busy: tuple[Busy, ...], observation: Observation, now: datetime) -> tuple[Busy, ...]:
    """The busiest minutes of the last hour, with a window added."""
    load = max(load_of(observation), observation.busiest or 0.0)
    kept = tuple(slot for slot in busy if timedelta() <= now - slot.since < REMEMBERED)
    if kept and now - kept[-1].since < SLOT:
        *earlier, last = kept
        return (*earlier, Busy(last.since, max(last.load, load)))
    return (*kept, Busy(now, load))[-MOST_SLOTS:]


def planned_rise(situation: Situation) -> float:
    """The load to plan for over the load that was measured; at least `HEADROOM`."""
    observation = situation.observation
    if observation is None or observation.by_waits:  # what is remembered are requests
        return HEADROOM
    now = load_of(observation)
    busiest = max((slot.load for slot in with_window(situation.memory.busy, observation, situation.now)), default=now)
    return HEADROOM * max(1.0, busiest / (BY_CHANCE * now)) if now > 0 else HEADROOM


def met_with_room(situation: Situation, model: Model | None, last: Noise | None = None) -> bool:
    """Whether the objective is met now and would be under the load to plan for; False where nothing was measured.

    `last` is what was known of the noise, and of the window before, when this window was still to come.
    """
    observation, objective = situation.observation, situation.policy.objective
    if observation is None or objective is None or not observation.requests:
        return False
    p95 = p95_now(situation, observation, last or Noise())
    if p95 is None or p95 > objective.limit.total_seconds() or _failing(observation, objective):
        return False
    rise = planned_rise(situation)
    expected = p95 * rise if model is None else expected_p95(situation, model, situation.values, p95, rise)
    if model is None and (observation.busy(situation.values.get(WORKERS, 1.0)) or 0.0) * rise >= FULL:
        return False
    doubt = deviation(last) if last is not None and deviation(last) >= NOISY else 0.0
    return expected is not None and expected <= (1 + doubt) * objective.limit.total_seconds()


def nothing_grows(situation: Situation, model: Model | None, last: Noise | None = None) -> bool:
    """Whether the policy prefers cost and has what it wants; more speed is for `prefer: latency`."""
    objective = situation.policy.objective
    return objective is not None and objective.prefer is Prefer.COST and met_with_room(situation, model, last)


def p95_now(situation: Situation, observation: Observation, last: Noise) -> float | None:
    """Seconds, over the windows in which these values had such a load: a single one may be off by chance."""
    if observation.by_waits:
        return observation.response_seconds
    known = recall(situation, situation.values, load_of(observation))
    p95, before = known.p95_seconds if known else observation.response_seconds, last.last
    if p95 is None or before is None or last.generation != situation.fleet.generation or deviation(last) < NOISY:
        return p95
    return (
        min(p95, observation.response_seconds or p95, before.p95_seconds)
        if same_load(before.load, load_of(observation))
        else p95
    )


def expected_p95(situation: Situation, model: Model, values: Values, p95_seconds: float, rise: float) -> float | None:
    """What the p95 of a setting becomes when the load rises, by the model; None where a queue would be full.

    `p95_seconds` is of the load now. Where these values have been measured under a load that is nearer to the one
    expected, the model has less to say: it starts from there.
    """
    load = load_of(situation.observation) if situation.observation else 0.0
    nearest = recall_nearest(situation, values, load, rise * load)
    if nearest is not None and nearest.p95_seconds > p95_seconds:
        p95_seconds, before = nearest.p95_seconds, _in_bursts(model.under(nearest.load / load), values)
    else:
        before = _in_bursts(model, values)
    then = _in_bursts(model.under(rise), values)
    return p95_seconds * then / before if before and then else None


def _in_bursts(model: Model, values: Values) -> float | None:
    """By the model, in a second that is busier than the mean; None where a queue would be full."""
    workers = values.get(WORKERS, 1.0)
    pools = {tunable.name: size for tunable, size in values.items() if tunable.kind is Kind.POOL}
    return model.under(BUSY_SECOND).p95(workers, pools)


def _failing(observation: Observation, objective: Objective) -> bool:
    refused = observation.turned_away > TURNED_AWAY * observation.requests
    return refused or observation.error_ratio > objective.error_ratio
