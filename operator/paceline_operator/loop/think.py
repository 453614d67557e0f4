"""From what was gathered to what is decided: the pure middle of a pass."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime

from paceline_operator.core.choice.foremost import Option, foremost
from paceline_operator.core.decide import decide, foresee
from paceline_operator.core.laws.streams import observed
from paceline_operator.core.laws.swamped import swamped
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.measure.pods import kinds, running_values, start_values
from paceline_operator.core.measure.window import Window
from paceline_operator.core.model.decision import Decision, Reason
from paceline_operator.core.model.policy import Mode
from paceline_operator.core.model.tunables import WORKERS, Values
from paceline_operator.core.situation.apart import told_apart
from paceline_operator.core.situation.memory import Memory
from paceline_operator.core.situation.situation import LEAST_COVERAGE, Held, Situation
from paceline_operator.crd.memory import parse_memory
from paceline_operator.crd.switches import Switches
from paceline_operator.loop.gather import Gathered, fleet_of, values_in_force


@dataclass(frozen=True, slots=True)
class Thought:
    """What a pass came to. `decision` is None where none was due and nothing has to change."""

    situation: Situation
    values: Values
    """What is in force by document and policy; the situation's name the workers besides, whoever chose them."""
    decision: Decision | None
    memory: Memory
    window: Window
    rewrite: bool
    """The stored document has to be written anew: it is gone, unreadable, or pods have moved past it."""
    take_back: bool
    """The stored document gives single pods values that nobody waits for a verdict on: it is written without them,
    whatever the mode."""
    urgent: bool = False
    """The decision came between two windows: somebody waits for it."""
    foremost: tuple[Option, ...] = ()
    """What else came into question, the best first; empty unless somebody asked."""

    @property
    def observation(self) -> Observation | None:
        return self.situation.observation


def think(
    gathered: Gathered,
    window: Window,
    now: datetime,
    *,
    mode: Mode,
    telemetry_age_seconds: float,
    explain: bool = False,
) -> Thought:
    """Advances the windows, and decides if that is due or something must change at once.

    Args:
        explain: also rank what came into question, which takes about as long as the decision.
    """
    behavior, fleet = gathered.policy.behavior, fleet_of(gathered)
    if window.decided is None:
        window = window.watched(behavior.interval, closely=_acts(gathered, mode))
    window = window.advanced(gathered.states, now, behavior.settle)
    window = replace(window, minutes=window.minutes.seen(gathered.states, now, gathered.policy.objective))
    settled = max(fleet.applied - fleet.newcomers, fleet.applied / 2)
    due = window.due(now, behavior.interval, settled)
    short = not due and window.short_due(now, fleet.applied)
    memory = parse_memory(gathered.checkpoint.memory, gathered.resource.status)
    if memory.pending is not None and memory.pending.generation != fleet.generation:
        memory = replace(memory, pending=None)  # what was being judged is no longer in force
    values = values_in_force(gathered)
    situation = Situation(
        policy=gathered.policy,
        values=_with_what_runs(gathered, values),
        fleet=fleet,
        now=now,
        observation=_observed(gathered, window, now, gathered.states.keys() - gathered.on_trial, short=short)
        if due or short
        else None,
        trial=_observed(gathered, window, now, gathered.on_trial) if due else None,
        memory=memory,
        telemetry_age_seconds=telemetry_age_seconds,
        short=short,
        held=_held(gathered),
        budgets=gathered.budgets,
    )
    situation = told_apart(situation, kinds(gathered.states.values()))
    after = _after(window, situation, gathered, due=due, mode=mode)
    decision, memory = _decided(situation, mode, gathered.switches)
    urgent = not due and _urgent(gathered, decision, mode)
    if not due and not urgent:
        decision, memory = None, situation.memory
        situation = replace(situation, observation=None, trial=None)  # nothing is told of a short window
    if mode is not Mode.AUTO or gathered.switches.paused:
        memory = replace(memory, pending=None)  # nobody waits for a verdict while nothing may be changed
    return Thought(
        situation,
        values,
        decision,
        memory,
        after,
        rewrite=mode is Mode.AUTO and not gathered.switches.paused and _rewrite(gathered),
        take_back=bool(gathered.on_trial) and (memory.pending is None or not memory.pending.tried_on),
        urgent=urgent,
        foremost=foremost(situation) if explain and decision is not None else (),
    )


def _with_what_runs(gathered: Gathered, values: Values) -> Values:
    """With the workers that pods run where nothing names them: all else is counted by them, and nothing moves them."""
    running = running_values(gathered.states.values())
    return values if WORKERS in values or WORKERS not in running else {WORKERS: running[WORKERS], **values}


def _acts(gathered: Gathered, mode: Mode) -> bool:
    """Whether something that has to be done at once would be."""
    return mode is Mode.AUTO and not gathered.switches.paused and gathered.switches.held is None


def _urgent(gathered: Gathered, decision: Decision | None, mode: Mode) -> bool:
    """Worth saying between two decisions: a change to make, a switch that was thrown, a spec whose recommendation
    nobody has seen."""
    if decision is None:
        return False
    if gathered.switches.paused or gathered.switches.held:
        said = (gathered.resource.status.get("recommendation") or {}).get("reason")
        return said != decision.reason or (bool(decision.changes) and mode is Mode.AUTO)
    unseen = gathered.resource.status.get("observedGeneration") != gathered.resource.generation
    return bool(decision.changes) and (mode is Mode.AUTO or unseen)


def _held(gathered: Gathered) -> Held | None:
    held = gathered.switches.held
    if held is None or held.values is not None:
        return held
    return replace(held, values=start_values(gathered.states.values()))


def _observed(
    gathered: Gathered, window: Window, now: datetime, pods: AbstractSet[str], *, short: bool = False
) -> Observation | None:
    states = {uid: state for uid, state in gathered.states.items() if uid in pods}
    interval = gathered.policy.behavior.interval
    windows = window.short_windows(states, now) if short else window.pod_windows(states, now, interval)
    found = observed(windows, gathered.policy)
    if found is None or found.by_waits:
        return found
    return replace(found, busiest=window.minutes.busiest or None)


def _decided(situation: Situation, mode: Mode, switches: Switches) -> tuple[Decision | None, Memory]:
    if mode is Mode.OFF:
        return None, situation.memory
    if switches.paused:
        message = f"paused by annotation on the {switches.paused_by}; values stay as they are"
        return Decision((), Reason.PAUSED, message), situation.memory
    return decide(situation) if mode is Mode.AUTO else foresee(situation)


def _after(window: Window, situation: Situation, gathered: Gathered, *, due: bool, mode: Mode) -> Window:
    """The windows from now on: where this one found the service swamped, the next look comes soon."""
    behavior, observation, now = situation.policy.behavior, situation.observation, situation.now
    if observation is not None:
        window = window.watched(behavior.interval, closely=_acts(gathered, mode) and bool(swamped(situation)))
    if not due:
        return window.glanced(gathered.states, now) if situation.short else window
    if observation is None:
        return replace(window, decided=now)
    if observation.requests < behavior.min_samples:
        fills = behavior.fills(observation.requests, observation.window_seconds)
        return window.extended(now, behavior.interval, behavior.longest_window if fills else behavior.usual_window)
    return window.begun_anew(gathered.states, now)


def _rewrite(gathered: Gathered) -> bool:
    understood = sum(1 for state in gathered.states.values() if state.understands)
    if understood < LEAST_COVERAGE * len(gathered.states):
        return False
    if gathered.reserved_in_vain:
        return True
    return gathered.in_force is None and (gathered.highest_generation > 0 or gathered.stored.content is not None)
