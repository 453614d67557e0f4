"""The settings that come into question: each worker count with the pools it needs, as far as the constraints allow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, floor

from paceline_operator.core.laws.constraints import fitted, most_workers, pool_limit, within_budgets
from paceline_operator.core.laws.contention import endangers
from paceline_operator.core.laws.diagnose import longest_wait_seconds
from paceline_operator.core.model.policy import Objective, TunableSpec
from paceline_operator.core.model.tunables import WORKERS, Kind, Tunable, Values, with_workers
from paceline_operator.core.queueing.predict import Model
from paceline_operator.core.queueing.queueing import BURSTINESS, servers_needed
from paceline_operator.core.situation.doubts import trusted_share
from paceline_operator.core.situation.experience import is_rejected, load_of, more_would_slow, recall
from paceline_operator.core.situation.situation import Situation


@dataclass(frozen=True, slots=True)
class Candidate:
    """A setting and the p95 it would have, in seconds: measured under this load where it was, else predicted."""

    values: Values
    p95_seconds: float
    measured: bool


def candidates(situation: Situation, model: Model, objective: Objective) -> Iterator[Candidate]:
    """All that is allowed; those of which the model cannot tell, because a queue would be full, are left out."""
    least, most = _worker_range(situation)
    for workers in range(int(least), int(most) + 1):
        for sizes in _bundles(situation, model, objective, float(workers)):
            values = {**with_workers(situation.values, float(workers)), **sizes}
            barred = endangers(situation, values) or is_rejected(situation, values)
            barred = barred or _burdens(situation, model, values)
            candidate = None if barred else judged(situation, model, values)
            if candidate is not None:
                yield candidate
    yield from (known for known in _known(situation, least, most) if not _burdens(situation, model, known.values))


def _burdens(situation: Situation, model: Model, values: Values) -> bool:
    """Whether a slow database would get more connections."""
    now, then = situation.values.get(WORKERS, 1.0), values.get(WORKERS, 1.0)
    sizes = named_pools(situation.values)
    return any(
        then * size > now * sizes.get(name, size)
        for name, size in named_pools(values).items()
        if name in model.pools and more_would_slow(situation, name, model.pools[name].query_seconds)
    )


def _known(situation: Situation, least: float, most: float) -> Iterator[Candidate]:
    """What has been measured under this load, and is allowed now."""
    load = load_of(situation.observation) if situation.observation else 0.0
    for known in situation.memory.known:
        values = {**situation.values, **known.values}
        if not (least <= values.get(WORKERS, least) <= most and _allowed(situation, values)):
            continue
        if is_rejected(situation, values):
            continue
        found = recall(situation, values, load)
        if found is not None:
            yield Candidate(values, found.p95_seconds, measured=True)


def _allowed(situation: Situation, values: Values) -> bool:
    workers = values.get(WORKERS, 1.0)
    pools = (spec for t, spec in situation.policy.tunables.items() if t.kind is Kind.POOL and t in values)
    within = all(
        spec.allowed(values[spec.tunable]) == values[spec.tunable] <= pool_limit(situation, spec, workers)
        for spec in pools
    )
    return within and within_budgets(situation, values)


def judged(situation: Situation, model: Model, values: Values) -> Candidate | None:
    """The p95 of a setting."""
    predicted = model.p95(values.get(WORKERS, 1.0), named_pools(values))
    known = recall(situation, values, load_of(situation.observation)) if situation.observation else None
    if known is not None:
        return Candidate(values, known.p95_seconds, measured=True)
    if predicted is None:
        return None
    factor = max(_correction(situation, model, situation.values), _correction_of(situation, model, values))
    return Candidate(values, _believable(situation, model, values, predicted * factor), measured=False)


def _believable(situation: Situation, model: Model, values: Values, predicted: float) -> float:
    """The prediction, its gain cut down to what experience allows."""
    share = trusted_share(situation, values)
    now = model.p95(situation.values.get(WORKERS, 1.0), named_pools(situation.values)) if share < 1 else None
    if now is None:
        return predicted
    current = now * _correction(situation, model, situation.values)
    return predicted if predicted >= current else current - share * (current - predicted)


def _correction_of(situation: Situation, model: Model, values: Values) -> float:
    """The same for what was measured last with as many workers: a model that was too hopeful of it still is."""
    workers = values.get(WORKERS, 1.0)
    like = [known.values for known in situation.memory.known if known.values.get(WORKERS, 1.0) == workers]
    return _correction(situation, model, {**situation.values, **like[-1]}) if like else 0.0


def _correction(situation: Situation, model: Model, values: Values) -> float:
    """What was measured of these values over what the model says of them: a prediction starts from there."""
    observation = situation.observation
    known = recall(situation, values, load_of(observation)) if observation else None
    now = model.p95(values.get(WORKERS, 1.0), named_pools(values))
    return known.p95_seconds / now if known and now else 1.0


def named_pools(values: Values) -> Mapping[str, float]:
    """Pool sizes by name."""
    return {tunable.name: size for tunable, size in values.items() if tunable.kind is Kind.POOL}


def needed(situation: Situation, model: Model, objective: Objective, name: str, workers: float) -> int | None:
    """Connections a worker needs so that p99 of the wait stays short, with so many workers (Erlang C)."""
    hold = model.hold_seconds(name, workers)
    if hold is None:
        return None
    return servers_needed(model.checkouts(name, workers) * hold * BURSTINESS, hold, longest_wait_seconds(objective))


def _worker_range(situation: Situation) -> tuple[float, float]:
    spec, now = situation.policy.tunables.get(WORKERS), situation.values.get(WORKERS, 1.0)
    if spec is None or spec.bounds is None:
        return now, now
    return spec.bounds.minimum, most_workers(situation)


def _bundles(
    situation: Situation, model: Model, objective: Objective, workers: float
) -> Iterator[Mapping[Tunable, float]]:
    """The pools as they are needed; with fewer workers, no more connections than there are, too; and, with the workers
    that run now, the pools as they are."""
    wanted = {
        spec.tunable: _wanted(situation, model, objective, spec, workers)
        for spec in situation.policy.tunables.values()
        if spec.tunable.kind is Kind.POOL and spec.bounds is not None and spec.tunable in situation.values
    }
    sizes = fitted(situation, wanted, workers)
    if sizes is not None:
        yield sizes
    now = situation.values.get(WORKERS, 1.0)
    pooled = _pooled(situation, wanted, now / workers)
    if workers < now and pooled != sizes:
        yield pooled
    kept = {tunable: situation.values[tunable] for tunable in wanted}
    if workers == now and kept != sizes:
        yield kept


def _pooled(situation: Situation, wanted: Mapping[Tunable, float], share: float) -> Mapping[Tunable, float]:
    """Sizes that need no more connections than there are now, with so many times fewer workers."""
    return {tunable: min(size, floor(situation.values[tunable] * share)) for tunable, size in wanted.items()}


def _wanted(situation: Situation, model: Model, objective: Objective, spec: TunableSpec, workers: float) -> float:
    assert spec.bounds is not None  # the caller saw to it
    now, before = situation.values[spec.tunable], situation.values.get(WORKERS, 1.0)
    name, limit = spec.tunable.name, pool_limit(situation, spec, workers)
    size = needed(situation, model, objective, name, workers) if name in model.pools else None
    if size is None:
        # Nothing is known of this pool: its total does not grow with the workers.
        wanted = float(min(now, ceil(now * before / workers)))
    elif workers == before:
        wanted = max(now, float(size))  # shrinking is for the law of oversized pools
    else:
        wanted = float(size)
    if name in model.pools and more_would_slow(situation, name, model.pools[name].query_seconds):
        # More connections would make a slow database slower.
        limit = min(limit, floor(now * before / workers))
    return max(spec.bounds.minimum, min(wanted, limit))
