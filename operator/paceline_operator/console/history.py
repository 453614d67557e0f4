"""What the console remembers of a policy: samples, its values as they changed, its latest decisions. Pure."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from typing import Final

from paceline_operator.console.ring import DAY, Ring, Sample
from paceline_operator.core.model.tunables import NOTHING
from paceline_operator.figures import PolicyFigures, Verdict, merged

MOST_STEPS: Final = 80
MOST_DECISIONS: Final = 30
LONGEST_TEXT: Final = 250
MOST_PODS: Final = 40
"""Of the latest pass; those that have not acked first."""
LONGEST_TROUBLE: Final = 120
"""Characters of what is wrong with a pod."""


@dataclass(frozen=True, slots=True)
class Step:
    """Values from some time on, until the next step; packed, since there are many of them."""

    at: float
    names: tuple[str, ...]
    numbers: bytes
    """Of each name what is in force, then of each what is recommended; NaN where it is neither."""

    @classmethod
    def of(cls, at: float, values: Mapping[str, float], recommended: Mapping[str, float]) -> "Step":
        """Packed."""
        names = tuple(dict.fromkeys((*values, *recommended)))
        numbers = [found.get(name, math.nan) for found in (values, recommended) for name in names]
        return cls(at, names, struct.pack(f"<{len(numbers)}d", *numbers))

    @property
    def values(self) -> Mapping[str, float]:
        """In force."""
        return self._unpacked(0)

    @property
    def recommended(self) -> Mapping[str, float]:
        """What was advised."""
        return self._unpacked(1)

    def _unpacked(self, half: int) -> Mapping[str, float]:
        numbers = struct.unpack_from(f"<{len(self.names)}d", self.numbers, half * len(self.numbers) // 2)
        return {name: number for name, number in zip(self.names, numbers, strict=True) if not math.isnan(number)}


@dataclass(frozen=True, slots=True)
class Made:
    """A decision that changes something, or would, and what became of it."""

    at: float
    reason: str
    message: str
    changes: tuple[str, ...]
    generation: int | None = None
    applied: bool = False
    trace_id: str | None = None
    latency: float | None = None
    """In the window that was decided on."""
    predicted: float | None = None
    outcome: str = ""
    observed: float | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """All that is remembered of one policy."""

    latest: PolicyFigures = field(default_factory=PolicyFigures)
    at: float = 0.0
    """When it was last heard of, in seconds since 1970."""
    ring: Ring = field(default_factory=Ring)
    steps: tuple[Step, ...] = ()
    decisions: tuple[Made, ...] = ()

    def after(self, figures: PolicyFigures, at: float) -> "Past":
        """With the figures of one more pass."""
        latest = _bounded(merged(self.latest, figures))
        decisions = self.decisions
        if figures.verdict is not None:
            decisions = _judged(decisions, figures.verdict)
        return Past(
            latest=latest,
            at=at,
            ring=self.ring.with_sample(_sample(latest, at)),
            steps=_since(_stepped(self.steps, latest, at), at),
            decisions=_made(decisions, figures, at)[-MOST_DECISIONS:],
        )


def _bounded(latest: PolicyFigures) -> PolicyFigures:
    """With no more pods than are shown."""
    pods = latest.each_pod
    if pods is None:
        return latest
    shown = nsmallest(MOST_PODS, pods, key=lambda pod: (pod.acked, pod.name))
    return replace(
        latest,
        each_pod=tuple(replace(pod, trouble=pod.trouble[:LONGEST_TROUBLE]) if pod.trouble else pod for pod in shown),
    )


def _sample(latest: PolicyFigures, at: float) -> Sample:
    latency = (latest.latency or NOTHING).get(latest.quantile or 0.95)
    found = (latency, latest.objective_seconds, latest.pods, latest.applied)
    return Sample(at, *(math.nan if each is None else float(each) for each in found))


def _stepped(steps: tuple[Step, ...], latest: PolicyFigures, at: float) -> tuple[Step, ...]:
    step = Step.of(at, latest.values or NOTHING, latest.recommended or NOTHING)
    if steps and steps[-1].names == step.names:
        if steps[-1].numbers == step.numbers:
            return steps
        step = replace(step, names=steps[-1].names)
    return (*steps, step)


def _since(steps: tuple[Step, ...], at: float) -> tuple[Step, ...]:
    """The latest ones, and of those older than a day the last: it holds at the beginning."""
    old = [step for step in steps if step.at <= at - DAY]
    return (*old[-1:], *steps[len(old) :])[-MOST_STEPS:]


def _made(decisions: tuple[Made, ...], figures: PolicyFigures, at: float) -> tuple[Made, ...]:
    said = figures.conclusion
    if said is None or not said.changes:
        return decisions
    made = Made(
        at=at,
        reason=said.reason,
        message=said.message[:LONGEST_TEXT],
        changes=said.changes,
        generation=said.generation,
        applied=said.applied,
        trace_id=said.trace_id,
        latency=said.latency_seconds,
        predicted=figures.predicted_seconds,
    )
    last = decisions[-1] if decisions else None
    if last is not None and not made.applied and not last.applied and last.changes == made.changes:
        return (*decisions[:-1], replace(made, at=last.at))  # the same recommendation, once more
    return (*decisions, made)


def _judged(decisions: tuple[Made, ...], verdict: Verdict) -> tuple[Made, ...]:
    """A verdict is about the newest change of its reason that has none yet."""
    for place in range(len(decisions) - 1, -1, -1):
        each = decisions[place]
        if each.applied and not each.outcome and each.reason == verdict.reason:
            judged = replace(
                each,
                outcome=verdict.outcome,
                observed=verdict.observed_seconds,
                predicted=each.predicted or verdict.predicted_seconds,
            )
            return (*decisions[:place], judged, *decisions[place + 1 :])
    return decisions
