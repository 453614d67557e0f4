"""`paceline-operator decide`: one decision from files, and what spoke for and against it. No cluster, no clock."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Group, RenderableType
from rich.table import Table

from paceline_operator.cluster.manifests import parse_manifests
from paceline_operator.core.choice.candidates import Candidate, candidates, judged, named_pools
from paceline_operator.core.decide import foresee
from paceline_operator.core.guards.explicit import explicit_changes
from paceline_operator.core.laws.streams import observed
from paceline_operator.core.measure.histogram import Histogram
from paceline_operator.core.measure.observe import PodWindow
from paceline_operator.core.measure.pods import CacheCounters, Lookups, PodState, PoolCounters, kinds, running_values
from paceline_operator.core.model.decision import Decision, apply_changes
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.policy import Policy
from paceline_operator.core.model.tunables import WORKERS, Values
from paceline_operator.core.model.values import change_to_wire, values_to_wire
from paceline_operator.core.queueing.fit import fit
from paceline_operator.core.situation.apart import told_apart
from paceline_operator.core.situation.experience import overhead_of
from paceline_operator.core.situation.memory import Memory
from paceline_operator.core.situation.situation import Fleet, Situation
from paceline_operator.crd.checkpoint import parse_checkpoint
from paceline_operator.crd.memory import parse_memory
from paceline_operator.crd.v1alpha1 import parse_policy
from paceline_operator.errors import InvalidSpec, InvalidState, UsageError
from paceline_operator.telemetry.state import parse_state

NO_WAIT: Final = PoolCounters(0, 0, 0, Histogram(), Histogram())
MOST_SHOWN: Final = 12


def replay(policy: Path, observation: Path, history: Path | None) -> tuple[Situation, Decision]:
    """The situation in the files, and the decision on it; with what would follow, where the policy gives values.

    Args:
        policy: a manifest with one TuningPolicy.
        observation: `/state` responses of pods: `{"before": [...], "after": [...]}`, or only those of now, which then
            count from the start of their pods.
        history: a TuningCheckpoint, what the loop remembers.

    Raises:
        UsageError: a file cannot be read or understood; says which and why.
    """
    parsed = _policy(policy)
    before, after = _states(observation)
    windows = [PodWindow(before.get(pod) or _at_start(state), state) for pod, state in after.items()]
    generation = max(state.generation for state in after.values())
    situation = Situation(
        policy=parsed,
        values=_values(parsed, after),
        fleet=Fleet(len(after), len(after), sum(s.generation == generation for s in after.values()), generation),
        now=datetime.now(UTC),
        observation=observed(windows, parsed),
        memory=replace(_memory(history), pending=None),
    )
    situation = told_apart(situation, kinds(after.values()))
    return situation, foresee(situation)[0]


def as_json(situation: Situation, decision: Decision) -> dict[str, Any]:
    """`{"reason", "message", "changes", "values"}`."""
    return {
        "reason": decision.reason.value,
        "message": decision.message,
        "changes": [change_to_wire(change) for change in decision.changes],
        "values": values_to_wire(apply_changes(situation.values, decision.changes)),
    }


def explained(situation: Situation, decision: Decision) -> RenderableType:
    """The decision, and the settings it was chosen from, the fastest first."""
    lines = f"{decision.reason}: {decision.message}"
    chosen = apply_changes(situation.values, decision.changes)
    found = sorted(_considered(situation, chosen), key=lambda candidate: candidate.p95_seconds)[:MOST_SHOWN]
    if not found:
        return f"{lines}\nNo model fits this window: a queue is full, or figures are missing; thresholds decided."
    table = Table(title="what was considered", title_justify="left")
    for column in ("workers", "pools", "p95", "known from"):
        table.add_column(column)
    for candidate in found:
        now = " ← now" if candidate.values == situation.values else " ← chosen" if candidate.values == chosen else ""
        pools = ", ".join(f"{name} {size:g}" for name, size in sorted(named_pools(candidate.values).items()))
        p95, source = format_duration(candidate.p95_seconds), "measurement" if candidate.measured else "model"
        table.add_row(f"{candidate.values.get(WORKERS, 1):g}{now}", pools, p95, source)
    return Group(lines, table)


def _considered(situation: Situation, chosen: Values) -> Iterator[Candidate]:
    observation, objective = situation.observation, situation.policy.objective
    if observation is None or objective is None:
        return
    pools = named_pools(situation.values)
    model = fit(observation, situation.values.get(WORKERS, 1.0), pools, overhead_of(situation.memory))
    if model is not None:
        given = explicit_changes(situation)
        values = apply_changes(situation.values, given.changes) if given else situation.values
        found = [*candidates(replace(situation, values=values), model, objective)]
        known = [candidate.values for candidate in found]
        # With `prefer: cost` connections are taken away one at a time from those, as long as the objective is met.
        leaner = judged(situation, model, chosen) if chosen not in known else None
        yield from found if leaner is None else (leaner, *found)


def _policy(path: Path) -> Policy:
    manifests = _manifests(path)
    if len(manifests) != 1:
        raise UsageError(f"--policy {path}: holds {len(manifests)} TuningPolicies, one is needed")
    try:
        return parse_policy(manifests[0].spec, manifests[0].namespace)
    except InvalidSpec as error:
        raise UsageError(f"--policy {path}: {'; '.join(error.problems)}") from error


def _manifests(path: Path) -> Any:
    try:
        return parse_manifests(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--policy {path}: {_why(error)}") from error
    except InvalidSpec as error:
        raise UsageError(f"--policy {path}: {'; '.join(error.problems)}") from error


def _states(path: Path) -> tuple[Mapping[str, PodState], Mapping[str, PodState]]:
    wire = _yaml("--observation", path)
    ends = wire if isinstance(wire, Mapping) and "after" in wire else {"before": [], "after": wire}
    try:
        before, after = (dict(_parsed(ends.get(end) or [])) for end in ("before", "after"))
    except InvalidState as error:
        raise UsageError(f"--observation {path}: {error}") from error
    except (TypeError, AttributeError) as error:
        raise UsageError(f"--observation {path}: holds something other than responses of /state") from error
    if not after:
        raise UsageError(f"--observation {path}: holds no pod's /state")
    return before, after


def _parsed(wire: Any) -> Iterator[tuple[str, PodState]]:
    states = [wire] if isinstance(wire, Mapping) and "schema" in wire else wire
    for index, state in enumerate(states.values() if isinstance(states, Mapping) else states):
        pod = state.get("pod") or {}
        yield str(pod.get("uid") or pod.get("name") or index), parse_state(state)


def _at_start(state: PodState) -> PodState:
    """The same pod when it had counted nothing."""
    none = Lookups(0, 0)
    return PodState(
        state.started_at,
        0.0,
        state.generation,
        values=state.values,
        pools=dict.fromkeys(state.pools, NO_WAIT),
        queues=dict.fromkeys(state.queues, NO_WAIT),
        caches={
            name: CacheCounters(cache.ttl_seconds, none, Histogram(), dict.fromkeys(cache.ghosts, none))
            for name, cache in state.caches.items()
        },
    )


def _values(policy: Policy, states: Mapping[str, PodState]) -> Values:
    running = running_values(states.values())
    return {tunable: value for tunable, value in running.items() if tunable in policy.tunables}


def _memory(path: Path | None) -> Memory:
    if path is None:
        return Memory()
    wire = _yaml("--history", path)
    if not isinstance(wire, Mapping):
        raise UsageError(f"--history {path}: is no TuningCheckpoint")
    try:
        return parse_memory(parse_checkpoint(wire).memory, {})
    except InvalidState as error:
        raise UsageError(f"--history {path}: {error}") from error


def _yaml(option: str, path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{option} {path}: {_why(error)}") from error


def _why(error: Exception) -> str:
    """In one line."""
    if isinstance(error, OSError):
        return error.strerror or "cannot be read"
    return f"is not YAML or JSON: {' '.join(str(error).split())}"
