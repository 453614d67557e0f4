"""Whether there is anything to decide on: an ordered tuple of small named checks of the situation, each with a reason
and a sentence. The first that holds is the decision; nothing is diagnosed then.

Adding a rule: one function, one line in the tuple, one row in the table test.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil
from typing import Final, TypeAlias

from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.decision import Reason
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.policy import LONGEST_WINDOW, Behavior
from paceline_operator.core.situation.experience import load_of
from paceline_operator.core.situation.situation import LEAST_COVERAGE, Fleet, LeftOut, Situation
from paceline_operator.core.verdict.rollback import BREAKER_ROLLBACKS, BREAKER_TIME

STALE_AFTER: Final = timedelta(minutes=10)
UNSETTLED: Final = 2.5
"""Where the number of pods changes again within so many intervals, it is not waited for."""
TELLING: Final = 200
"""Requests below which a p95 says little: with 99 % confidence it then lies anywhere above p91."""
FAILS: Final = ("BackOff", "Error", "ImagePull", "ImageName")
"""How Kubernetes' words for a container that does not start end, as in `CrashLoopBackOff` or `ErrImagePull`."""
NAMED: Final = 3
"""Pods that a message names; the status has more of them."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Do nothing, for this reason."""

    reason: Reason
    message: str


Gate: TypeAlias = Callable[[Situation], Hold | None]


def runtime_too_old(situation: Situation) -> Hold | None:
    """Applies before pinned values, too: such a pod would not understand the document."""
    old, fleet = situation.fleet.too_old, situation.fleet
    if not old or fleet.total - len(old) >= LEAST_COVERAGE * fleet.total:
        return None
    return Hold(Reason.RUNTIME_TOO_OLD, f"{first_of(old)}: the runtime does not accept tuning/v1; upgrade it")


def not_reporting(situation: Situation) -> Hold | None:
    fleet, age = situation.fleet, situation.telemetry_age_seconds
    if fleet.total == 0:
        return Hold(Reason.NOT_REPORTING, "the target has no pods")
    if fleet.reporting:
        return None
    if age > STALE_AFTER.total_seconds():
        return Hold(Reason.TELEMETRY_STALE, f"no pod has reported for {format_duration(age)}; values stay as they are")
    return Hold(
        Reason.NOT_REPORTING, f"none of {fleet.total} pods responds to /state on a port named paceline; values stay"
    )


def rollout_in_progress(situation: Situation) -> Hold | None:
    if not situation.fleet.rolling_out:
        return None
    message = f"the target is rolling out; measuring goes on when it is done{_held_up_by(situation.fleet)}"
    return Hold(Reason.ROLLOUT_IN_PROGRESS, message)


def _held_up_by(fleet: Fleet) -> str:
    """Names pods whose containers fail: a StatefulSet waits for them until somebody mends them, and says so nowhere."""
    failing = tuple(each for each in fleet.left_out if each.reason.endswith(FAILS))
    return f"; pods that fail hold it up: {_listed(failing)}" if failing else ""


def shrink_blocked(situation: Situation) -> Hold | None:
    if not situation.fleet.shrink_blocked or situation.fleet.sound:
        return None
    return Hold(Reason.SHRINK_BLOCKED, situation.fleet.shrink_blocked)


def not_converged(situation: Situation) -> Hold | None:
    """Pods that do not follow are left out by name, up to a fifth of them."""
    fleet = situation.fleet
    if fleet.sound:
        return None
    message = f"{fleet.applied} of {fleet.total} pods run generation {fleet.generation}"
    return Hold(Reason.NOT_CONVERGED, f"{message}{whose(fleet)}")


def tuning_suspended(situation: Situation) -> Hold | None:
    """The breaker: whoever is wrong three times an hour does not understand what is going on. No gate: the way back
    from a database that drowns stays open."""
    last = situation.memory.rollbacks[-BREAKER_ROLLBACKS:]
    if len(last) < BREAKER_ROLLBACKS or last[-1] - last[0] > BREAKER_TIME:
        return None
    wait = last[-1] + BREAKER_TIME - situation.now
    if wait <= timedelta():
        return None
    message = f"{len(last)} changes were taken back within {format_duration(last[-1] - last[0])}"
    return Hold(Reason.TUNING_SUSPENDED, f"{message}: values stay as they are for {format_duration(wait)}")


def replicas_changed(situation: Situation) -> Hold | None:
    """An autoscaler has just moved: the windows mix two loads. One that moves all the time stops nothing: pods are
    compared by their own load."""
    replicas, interval = situation.memory.replicas, situation.policy.behavior.interval
    if replicas is None or not situation.fleet.replicas or replicas.count == situation.fleet.replicas:
        return None
    if situation.now - replicas.since < UNSETTLED * interval:
        return None
    return Hold(
        Reason.ROLLOUT_IN_PROGRESS,
        f"{replicas.count} → {situation.fleet.replicas} pods; measuring goes on after {format_duration(interval)}",
    )


def insufficient_telemetry(situation: Situation) -> Hold | None:
    fleet, observation = situation.fleet, situation.observation
    if fleet.coverage < LEAST_COVERAGE:
        message = f"{fleet.reporting} of {fleet.total} pods report, {LEAST_COVERAGE:.0%} are needed"
        return Hold(Reason.INSUFFICIENT_TELEMETRY, f"{message}{whose(fleet)}")
    if observation is None and situation.several_loads is not None:
        return Hold(Reason.INSUFFICIENT_TELEMETRY, _several_loads(situation.several_loads, situation.policy.behavior))
    if observation is None:
        interval = format_duration(situation.policy.behavior.interval)
        return Hold(Reason.INSUFFICIENT_TELEMETRY, f"no whole window of {interval} has been measured yet")
    # An autoscaler brings pods all the time: those that are too young for a whole window say nothing yet.
    settled = max(fleet.total - fleet.newcomers, fleet.total / 2)
    if observation.pods < LEAST_COVERAGE * settled:
        message = f"{observation.pods} of {fleet.total} pods have a whole window, {LEAST_COVERAGE:.0%} are needed"
        return Hold(Reason.INSUFFICIENT_TELEMETRY, message)
    return None


def _several_loads(observation: Observation, behavior: Behavior) -> str:
    """By how much the busiest minute stands out, what that means, and what a person can do."""
    times = (observation.busiest or 0.0) / load_of(observation)
    window = format_duration(round(observation.window_seconds))
    told = f"the busiest minute brought {times:.1f} times the mean of {window}: under several loads nothing is tuned"
    usual = format_duration(behavior.usual_window)
    fewer = f"; lower behavior.minSamples, to {TELLING} at the least" if behavior.min_samples > TELLING else ""
    return f"{told}, and values stay until {behavior.min_samples} requests come within {usual} or evenly{fewer}"


def no_traffic(situation: Situation) -> Hold | None:
    observation, behavior = situation.observation, situation.policy.behavior
    if observation is None or observation.requests >= behavior.min_samples or situation.overloaded or situation.short:
        return None
    if observation.streaming:
        return Hold(Reason.STREAMS_ONLY, _few_checkouts(observation, behavior))
    if observation.requests == 0:
        return Hold(Reason.NO_TRAFFIC, f"no requests in {format_duration(observation.window_seconds)}")
    return Hold(Reason.INSUFFICIENT_TELEMETRY, _too_few(observation, behavior))


def _few_checkouts(observation: Observation, behavior: Behavior) -> str:
    window = format_duration(round(observation.window_seconds))
    counted = f"{observation.requests} {'checkouts' if observation.by_waits else 'requests'} in {window}"
    told = f"{observation.open} streams or WebSockets are open, {counted}: there are no response times to tune by"
    return f"{told}, and pools are tuned by the waits of {behavior.min_samples} checkouts in a window: values stay"


def _too_few(observation: Observation, behavior: Behavior) -> str:
    """How long it will take until there are enough requests; or how many it takes, and what a person can do."""
    wanted, a_second = behavior.min_samples, observation.requests / observation.window_seconds
    told = f"{observation.requests} requests in {format_duration(round(observation.window_seconds))}"
    if behavior.fills(observation.requests, observation.window_seconds):
        left = format_duration(60 * ceil((wanted - observation.requests) / a_second / 60))
        return f"{told}, a decision needs {wanted}: at this rate in about {left}"
    within = f"within {format_duration(behavior.longest_window)}, {behavior.least_a_minute} a minute"
    telling = replace(behavior, min_samples=TELLING).fills(observation.requests, observation.window_seconds)
    remedies = [f"lower behavior.minSamples, to no less than {TELLING}"] if wanted > TELLING and telling else []
    remedies += ["raise behavior.interval"] if behavior.longest_window < LONGEST_WINDOW else []
    todo = f"; {' or '.join(remedies)}" if remedies else ""
    return f"{told}, a decision needs {wanted} {within}: values stay{todo}"


GATES: Final[tuple[Gate, ...]] = (
    not_reporting,
    rollout_in_progress,
    shrink_blocked,
    not_converged,
    insufficient_telemetry,
    no_traffic,
    replicas_changed,
)


def first_of(names: tuple[str, ...]) -> str:
    """A list as a sentence bears it: `a`, or `a and 2 more`."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def whose(fleet: Fleet) -> str:
    """The pods that are left out, as the end of a sentence: `; left out: api-1 (Pending), api-2 (Silent)`."""
    if not fleet.left_out:
        return ""
    return f"; left out: {_listed(fleet.left_out)}"


def _listed(pods: tuple[LeftOut, ...]) -> str:
    named = ", ".join(f"{each.name} ({each.reason})" for each in pods[:NAMED])
    more = len(pods) - NAMED
    return named + (f" and {more} more" if more > 0 else "")
