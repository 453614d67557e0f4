"""What a window teaches: the model fitted to it, and what is remembered of it whatever is decided."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from paceline_operator.core.choice.candidates import named_pools
from paceline_operator.core.laws.contention import drowned, remembered
from paceline_operator.core.laws.diagnose import LAG_IN_HOLD
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.tunables import NOTHING, WORKERS
from paceline_operator.core.queueing.fit import fit
from paceline_operator.core.queueing.predict import Model
from paceline_operator.core.situation.experience import learned, load_of, overhead_of
from paceline_operator.core.situation.memory import Memory, Replicas
from paceline_operator.core.situation.room import with_window
from paceline_operator.core.situation.situation import LEAST_COVERAGE, Situation

SEVERAL: Final = 3.0
"""Times the mean load of a long window that its busiest minute brings, from which on it is of several loads."""
UNSEEN: Final = timedelta(days=1)
"""How long ago the number of pods changed, where nobody saw it change."""


def sound(situation: Situation) -> Situation:
    """Without a window whose figures cannot have been measured: such a one is missing, not zero. Nor is anything tuned
    by one that went on for long and met several loads (`several_loads`): responses under one of them say nothing of
    their mean. Worked example: 29 minutes of 2 requests each, then 3,000 in one: 1.7 a second on average, and hardly
    any came under such a load."""
    observation = situation.observation
    if observation is None:
        return situation
    if not observation.sound:
        return replace(situation, observation=None)
    if _of_several_loads(situation, observation):
        return replace(situation, observation=None, several_loads=observation)
    return situation


def _of_several_loads(situation: Situation, observation: Observation) -> bool:
    long = observation.window_seconds > situation.policy.behavior.usual_window.total_seconds()
    return long and (observation.busiest or 0.0) > SEVERAL * load_of(observation)


def model_of(situation: Situation) -> Model | None:
    """The queueing model of the window; None without one, of streams, or where a queue was full."""
    observation = situation.observation
    if observation is None or observation.by_waits or observation.requests < situation.policy.behavior.min_samples:
        return None
    pools = named_pools(situation.values)
    return fit(observation, situation.values.get(WORKERS, 1.0), pools, overhead_of(situation.memory))


def remembering(situation: Situation, model: Model | None) -> Situation:
    """With what the window has taught, if it can be relied on."""
    observation, fleet, objective = situation.observation, situation.fleet, situation.policy.objective
    if observation is None or observation.requests < situation.policy.behavior.min_samples:
        return situation
    if objective is None or situation.short or observation.by_waits or fleet.rolling_out or not fleet.sound:
        return situation  # what a queue gives that has grown for seconds is neither the values' nor the load's
    if observation.pods + observation.left_out < LEAST_COVERAGE * fleet.total:
        return situation
    busy = with_window(situation.memory.busy, observation, situation.now)
    situation = replace(situation, memory=replace(situation.memory, busy=busy))
    found = drowned(situation, observation, objective)
    if found:
        # What a drowned database completed says nothing of the settings when it is well, nor of the noise.
        noise = replace(situation.memory.noise, last=None)
        return replace(situation, memory=replace(situation.memory, drowned=remembered(situation, found), noise=noise))
    taught = learned(situation, observation, _query_seconds(observation, model), queue_full=model is None)
    return replace(situation, memory=taught)


def _query_seconds(observation: Observation, model: Model | None) -> Mapping[str, float]:
    """How long each pool's other end takes, where that can be told: under a loop that lags most of what is held is lag,
    and what is left of it once the lag is taken off may be anything."""
    lag = observation.loop_lag.mean
    if model is None or lag is None:
        return NOTHING
    holds = {name: observation.pools[name].hold.mean or 0.0 for name in model.pools}
    return {name: pool.query_seconds for name, pool in model.pools.items() if lag <= LAG_IN_HOLD * holds[name]}


def counted(situation: Situation, memory: Memory) -> Memory:
    """With the number of pods, so that a change of it is seen."""
    count, before = situation.fleet.replicas, memory.replicas
    if not count or (before is not None and before.count == count):
        return memory
    since = situation.now if before is not None else situation.now - UNSEEN
    return replace(memory, replicas=Replicas(count, since))
