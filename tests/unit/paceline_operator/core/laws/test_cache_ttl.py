"""The law of TTLs, as a table."""

from dataclasses import replace
from typing import Any

import pytest
from paceline_operator.core.decide import decide
from paceline_operator.core.laws.cache_ttl import ttl_changes
from paceline_operator.core.measure.observation import CacheObservation, Observation
from paceline_operator.core.model.decision import Reason
from paceline_operator.core.model.policy import Bounds, TunableSpec
from paceline_operator.core.model.tunables import cache
from paceline_operator.core.situation.situation import Situation
from situations import observation, policy, pool_spec, seconds, situation, values, workers_spec

RESPONSES = cache("responses")
GHOSTS = {5.0: 0.60, 30.0: 0.80, 60.0: 0.90, 120.0: 0.93, 240.0: 0.935, 600.0: 0.99}


def seen(**changes: Any) -> CacheObservation:
    base: dict[str, Any] = {"lookups": 18_000, "hit_ratio": 0.60, "ghosts": GHOSTS, "ghost_lookups": 300}
    return CacheObservation(**{**base, **changes})


def cached(window: CacheObservation | None, ttl: float | None = 5.0, spec: TunableSpec | None = None) -> Situation:
    spec = spec or TunableSpec(RESPONSES, bounds=Bounds(5, 300))
    running = {**values(), **({} if ttl is None else {RESPONSES: ttl})}
    return situation(
        policy=policy(workers_spec(), pool_spec(), spec),
        values=running,
        observation=observation(caches={} if window is None else {"responses": window}),
    )


@pytest.mark.parametrize(
    ("given_situation", "ttl"),
    [
        pytest.param(cached(seen()), 120.0, id="to the shortest that hits about as often as the longest"),
        pytest.param(cached(seen(), spec=TunableSpec(RESPONSES, bounds=Bounds(5, 60))), 60.0, id="within its bounds"),
        pytest.param(cached(seen(hit_ratio=0.93), 120.0), None, id="there already"),
        pytest.param(cached(seen(hit_ratio=0.935), 240.0), None, id="a longer one is left alone"),
        pytest.param(cached(seen(hit_ratio=0.925), 60.0), None, id="too little to gain"),
        pytest.param(cached(seen(lookups=500)), None, id="too few requests ask the cache"),
        pytest.param(cached(seen(ghost_lookups=199)), None, id="too few ghosts"),
        pytest.param(cached(seen(ghosts={})), None, id="no ghosts"),
        pytest.param(cached(seen(hit_ratio=None)), None, id="no lookups"),
        pytest.param(cached(seen(), ttl=None), None, id="a TTL that nobody reports"),
        pytest.param(cached(None), None, id="a cache that nobody reports"),
        pytest.param(cached(seen(), spec=TunableSpec(RESPONSES, pinned=5)), None, id="a pinned TTL"),
    ],
)
def test_ttl(given_situation: Situation, ttl: float | None) -> None:
    window = given_situation.observation
    assert isinstance(window, Observation)
    changes = [change for change, _ in ttl_changes(given_situation, window)]
    assert [change.new for change in changes] == ([] if ttl is None else [ttl])


def test_a_ttl_moves_alone_when_nothing_else_is_wrong() -> None:
    decision, _ = decide(cached(seen()))
    assert decision.reason is Reason.CACHE_MISSES_HIGH
    assert [(str(change.tunable), change.new) for change in decision.changes] == [("responses", 120.0)]
    assert "hits 60%, 93% with 2m" in decision.message


def test_a_ttl_moves_along_with_what_else_is_changed() -> None:
    quiet = cached(seen())
    assert quiet.observation is not None
    decision, _ = decide(replace(quiet, observation=replace(quiet.observation, loop_lag=seconds(0.010))))
    assert decision.reason is Reason.LOOP_LAG_HIGH
    moved = [(str(change.tunable), change.new) for change in decision.changes]
    assert moved == [("workers", 5), ("postgres", 7), ("responses", 120.0)]
    assert decision.message.startswith("responses 5s→2m: responses hits 60%, 93% with 2m; workers 4→5, postgres 8→7: ")
