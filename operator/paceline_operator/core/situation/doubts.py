"""How far the model is trusted when it says that more of something gains.

A trial that gained less than half of its promise goes back, and the model's error is learnt for all sizes: what it
promises of more workers, or of a larger pool, counts only by the share that was seen. So loop lag that does not
depend on the workers costs one trial, not one for each count. A doubt ends with the pod template, with half as much
load again, once loops are busy by their CPU time, and by itself after 192 windows, then 384, …

Worked example: 2 → 8 workers promised 67 ms → 30 ms, a gain of 55 %, and gave 68 ms: 0 % of it. 2 → 3 workers, promised
as 67 ms → 50 ms, are then expected to give 67 ms.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.decision import growing
from paceline_operator.core.model.tunables import WORKERS, Tunable, Values
from paceline_operator.core.situation.memory import Doubt, Memory
from paceline_operator.core.situation.situation import Situation

DOUBTED_FOR: Final = 192
MOST_DOUBLINGS: Final = 3
MORE_LOAD: Final = 1.5
BUSY: Final = 0.7
"""Loops that compute for this share of the time lag because of it, whatever was seen when they did not."""


def trusted_share(situation: Situation, values: Values) -> float:
    """The share of the gain that the model promises of these values which is to be expected, in [0, 1]."""
    grown = growing(situation.values, values)
    return min((doubt.seen for tunable in grown if (doubt := doubt_of(situation, tunable)) is not None), default=1.0)


def doubt_of(situation: Situation, tunable: Tunable) -> Doubt | None:
    """The doubt that holds now; None where the model is trusted."""
    doubt, observation = situation.memory.doubts.get(str(tunable)), situation.observation
    if doubt is None or observation is None or situation.now >= doubt.until:
        return None
    if doubt.template != situation.fleet.template or _load(observation) > MORE_LOAD * doubt.load:
        return None
    busy = observation.busy(situation.values.get(WORKERS, 1.0))
    return None if tunable == WORKERS and busy is not None and busy >= BUSY else doubt


def doubted(situation: Situation, memory: Memory, grown: tuple[Tunable, ...], seen: float, load: float) -> Memory:
    """The memory after growing these gained too little."""
    doubts = dict(memory.doubts)
    for tunable in grown:
        before = doubts.get(str(tunable))
        times = before.times + 1 if before is not None and before.template == situation.fleet.template else 1
        windows = DOUBTED_FOR << min(times - 1, MOST_DOUBLINGS)
        until = situation.now + windows * situation.policy.behavior.interval
        doubts[str(tunable)] = Doubt(min(max(seen, 0.0), 1.0), load, situation.fleet.template, until, times)
    return replace(memory, doubts=doubts)


def trusted(memory: Memory, grown: tuple[Tunable, ...]) -> Memory:
    """The memory after growing these gained what was promised."""
    names = {str(tunable) for tunable in grown}
    left: Mapping[str, Doubt] = {name: doubt for name, doubt in memory.doubts.items() if name not in names}
    return memory if len(left) == len(memory.doubts) else replace(memory, doubts=left)


def _load(observation: Observation) -> float:
    return observation.requests_per_second / max(1, observation.pods)
