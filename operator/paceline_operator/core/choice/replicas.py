"""How many pods it would take: for a HorizontalPodAutoscaler or KEDA to follow, who alone may set it.

The fewest that meet the objective with room, each with the values that the decision leaves in force. Values come first:
what a worker or a connection more can mend within the policy's bounds asks for no pod. Where more pods do not help,
since what they wait for is a database, none are asked for.

Worked example: 4 pods serve 2600 requests a second, 8 would be needed with room; workers are at their maximum → 8.
"""

from dataclasses import replace
from math import ceil
from typing import Final

from paceline_operator.core.choice.candidates import Candidate, judged
from paceline_operator.core.choice.cost import Bar
from paceline_operator.core.laws.diagnose import CPU_FULL
from paceline_operator.core.model.decision import Decision, Reason
from paceline_operator.core.queueing.predict import Model
from paceline_operator.core.situation.room import HEADROOM, planned_rise
from paceline_operator.core.situation.situation import Situation

MOST_TIMES: Final = 16
"""How many times as many pods are considered: with more, it is not the pods."""


def wanted_replicas(situation: Situation, model: Model | None, decision: Decision) -> int | None:
    """The number of pods to ask for; None where nothing was measured that could tell."""
    pods, observation = situation.fleet.total, situation.observation
    if observation is None or situation.policy.objective is None or not pods:
        return None
    if model is None:
        # Loops or the quota are full: nobody knows how much more is asked for. A step, and then another look.
        full = decision.reason is Reason.SCALE_OUT_RECOMMENDED
        return ceil(pods * HEADROOM * max(1.0, (observation.cpu_ratio or 0.0) / CPU_FULL)) if full else None
    values, promised = decision.common(situation.values), situation.policy.objective.limit.total_seconds()
    now, rise = judged(situation, model, values), planned_rise(situation)
    if now is None:
        return None
    return _fewest(Bar(situation, model, promised, rise), now, pods)


def _fewest(bar: Bar, now: Candidate, pods: int) -> int:
    """By halving, since more pods are never slower; as many as there are where even many more would not do."""
    too_few, enough = 0, MOST_TIMES * pods
    if not _among(bar, pods / enough).bearable(now):
        return pods
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if _among(bar, pods / middle).bearable(now):
            enough = middle
        else:
            too_few = middle
    return enough


def _among(bar: Bar, load: float) -> Bar:
    """With so many times the load on a pod."""
    return replace(bar, rise=load * bar.rise)
