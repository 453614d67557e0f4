"""What is learnt from windows: settings by load, noise, the price of a worker, the speed of a database."""

from dataclasses import replace
from datetime import timedelta

import pytest
from paceline_operator.core.decide import decide
from paceline_operator.core.situation.experience import (
    KEPT_WINDOWS,
    MOST_KNOWN,
    database_is_slow,
    learned,
    noise_of,
    overhead_of,
    recall,
)
from paceline_operator.core.situation.memory import Known, Memory, Noise
from paceline_operator.core.situation.situation import Situation
from situations import NOW, observation, postgres_seen, seconds, situation, values

LOAD = 333.0 / 4


def after(start: Situation, *p95s: float, load: float = 333.0, query_seconds: float | None = None) -> Situation:
    """The situation after so many windows."""
    queries = {} if query_seconds is None else {"postgres": query_seconds}
    for p95 in p95s:
        window = observation(duration=seconds(p95), requests_per_second=load)
        start = replace(start, memory=learned(start, window, queries), now=start.now + timedelta(minutes=1))
    return start


def test_what_was_seen_under_this_load_is_recalled() -> None:
    seen = after(situation(), 0.020, 0.022)
    known = recall(seen, values(), LOAD)
    assert known is not None
    assert known.p95_seconds == pytest.approx(0.021)
    assert known.windows == 2


@pytest.mark.parametrize(
    ("setting", "load"),
    [pytest.param(values(5), LOAD, id="other values"), pytest.param(values(), LOAD * 1.3, id="another load")],
)
def test_what_was_seen_otherwise_is_not(setting: dict[object, float], load: float) -> None:
    assert recall(after(situation(), 0.020), setting, load) is None  # type: ignore[arg-type]


def test_what_is_old_is_forgotten() -> None:
    seen = after(situation(), 0.020)
    assert recall(replace(seen, now=NOW + (KEPT_WINDOWS + 2) * timedelta(minutes=1)), values(), LOAD) is None


def test_memory_is_bounded() -> None:
    seen = situation()
    for workers in range(MOST_KNOWN + 5):
        seen = after(replace(seen, values=values(workers + 1)), 0.020)
    assert len(seen.memory.known) == MOST_KNOWN


def test_noise_is_learnt_from_windows_in_which_nothing_changed() -> None:
    calm, noisy = after(situation(), *[0.020] * 6), after(situation(), *[0.020, 0.024] * 4)
    assert noise_of(calm.memory) == pytest.approx(0, abs=1e-6)
    assert 0.1 < noise_of(noisy.memory) < 0.3


def test_that_a_database_becomes_slow_and_well_again_is_no_noise() -> None:
    calm = after(situation(), *[0.0200, 0.0204] * 4)
    calm = replace(calm, memory=replace(calm.memory, fastest={"postgres": 0.006}))
    slow = after(calm, 0.600, 0.350, query_seconds=0.024)
    well = after(slow, 0.0204, query_seconds=0.006)
    assert slow.memory.noise.variance == well.memory.noise.variance == calm.memory.noise.variance
    assert after(well, 0.0250).memory.noise.variance > calm.memory.noise.variance


def test_too_few_windows_tell_no_noise() -> None:
    assert noise_of(Memory(noise=Noise(variance=0.04, windows=2))) == 0.0


def test_a_moved_load_or_a_new_generation_is_no_noise() -> None:
    seen = after(after(situation(), 0.020), 0.060, load=999.0)
    assert seen.memory.noise.windows == 0
    moved = replace(seen, fleet=replace(seen.fleet, generation=18))
    assert after(moved, 0.020, load=999.0).memory.noise.windows == 0


def test_a_window_without_answers_teaches_nothing() -> None:
    empty = learned(situation(), observation(duration=seconds(0.02, 0)), {})
    assert empty.known == ()
    assert empty.noise.last is None


def test_the_price_of_a_worker_is_learnt_from_the_counts_furthest_apart() -> None:
    assert overhead_of(Memory(cpu={2: 0.0040, 5: 0.00424})) == pytest.approx(0.02)
    assert overhead_of(Memory(cpu={2: 0.0040, 5: 0.0030})) == 0.0
    assert overhead_of(Memory()) == pytest.approx(0.01)
    seen = learned(situation(), observation(cpu_seconds=80.0), {})
    assert seen.cpu == {4: pytest.approx(0.004)}


def test_where_a_queue_was_full_the_price_of_a_request_is_not_known() -> None:
    swamped = learned(situation(memory=Memory(cpu={2: 0.0040})), observation(cpu_seconds=500.0), {}, queue_full=True)
    assert swamped.cpu == {2: 0.0040}


def test_a_database_is_slow_compared_with_itself_and_a_lasting_change_is_accepted() -> None:
    memory = learned(situation(), observation(), {"postgres": 0.006})
    assert not database_is_slow(memory, "postgres", 0.008)
    assert database_is_slow(memory, "postgres", 0.018)
    assert not database_is_slow(memory, "other", 9.0)
    for _ in range(60):
        memory = learned(situation(memory=memory), observation(), {"postgres": 0.018})
    assert not database_is_slow(memory, "postgres", 0.018)


def test_values_that_the_policy_does_not_name_do_not_matter() -> None:
    known = Known(values(), LOAD, 0.02, 1, NOW)
    assert recall(situation(memory=Memory(known=(known,))), {**values(), **{}}, LOAD) is known


def test_a_query_is_timed_only_while_the_loops_keep_up() -> None:
    """Under a lagging loop most of a hold is lag: 80 ms would be remembered as 28."""
    calm = observation(pools=postgres_seen(hold=seconds(0.080)), cpu_seconds=40.0)
    lagging = replace(calm, loop_lag=seconds(0.050))
    _, remembered = decide(situation(observation=calm))
    assert remembered.fastest["postgres"] == pytest.approx(0.080, rel=0.1)
    _, still = decide(situation(observation=lagging, memory=remembered))
    assert still.fastest == remembered.fastest
    _, nothing = decide(situation(observation=lagging))
    assert "postgres" not in nothing.fastest
