"""What the loop remembers comes back from checkpoint and status as it was, through JSON; figures are rounded."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from paceline_operator.core.measure.responses import Figure
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.model.tunables import WORKERS, Values, cache, pool
from paceline_operator.core.model.values import values_to_wire
from paceline_operator.core.situation.memory import (
    Busy,
    Ceiling,
    Doubt,
    Known,
    Measured,
    Memory,
    Noise,
    Oversized,
    Pending,
    Probing,
    Rejected,
    Replicas,
)
from paceline_operator.crd.memory import MOST_BYTES, parse_memory, render_pending, render_tuner


def few(of: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[Any]:
    return st.lists(of, max_size=most).map(tuple)


NAMES = st.text("abcdefghijk-", min_size=1, max_size=12)
COUNTS = st.integers(0, 10**6)
MICROS = st.integers(0, 10**8).map(lambda n: n / 1e6)
TIMES = st.integers(0, 10**10).map(lambda n: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=n))
TUNABLES = st.one_of(st.just(WORKERS), NAMES.map(pool), NAMES.map(cache))
VALUES = st.dictionaries(TUNABLES, st.integers(1, 1000).map(float), max_size=4)
MEASURED = st.builds(
    Measured,
    MICROS,
    MICROS,
    COUNTS.map(lambda n: n / 100),
    COUNTS,
    st.integers(1, 1000),
    st.dictionaries(NAMES, st.integers(0, 1000).map(lambda n: n / 1000), max_size=3),
    st.none() | st.tuples(MICROS, MICROS),
    st.just(Figure())
    | st.builds(Figure, NAMES, st.floats(1e-6, 1e6), st.lists(NAMES, min_size=1, max_size=3).map(tuple)),
)
CHANGES = st.builds(Change, TUNABLES, st.none() | st.integers(0, 1000).map(float), st.integers(0, 1000).map(float))
PENDING = st.builds(
    Pending,
    COUNTS,
    st.lists(CHANGES, max_size=3).map(tuple),
    st.sampled_from(Reason),
    MEASURED,
    TIMES,
    TIMES,
    st.integers(0, 2),
    few(NAMES),
    NAMES,
    few(NAMES),
    st.none() | MEASURED,
    st.none() | st.integers(0, 10**4).map(lambda n: n / 1e4),
)


NOISE = st.builds(Noise, MICROS, COUNTS) | st.builds(Noise, MICROS, COUNTS, MEASURED, COUNTS)
MEMORIES = st.builds(
    Memory,
    changes=few(TIMES),
    rollbacks=few(TIMES),
    pending=st.none() | PENDING,
    last_known_good=VALUES,
    rejected=few(
        st.builds(Rejected, VALUES, TIMES)
        | st.builds(Rejected, VALUES, TIMES, st.integers(1, 10**6).map(lambda n: n / 1000), NAMES)
    ),
    doubts=st.dictionaries(
        NAMES,
        st.builds(
            Doubt,
            st.integers(0, 1000).map(lambda n: n / 1000),
            COUNTS.map(lambda n: n / 1000),
            NAMES,
            TIMES,
            st.integers(1, 9),
        ),
        max_size=3,
    ),
    oversized=st.dictionaries(NAMES, st.builds(Oversized, COUNTS, COUNTS), max_size=3),
    known=few(st.builds(Known, VALUES, COUNTS.map(lambda n: n / 1000), MICROS, COUNTS, TIMES, st.just("") | NAMES)),
    noise=NOISE,
    probing=st.builds(Probing, COUNTS, st.none() | TIMES),
    cpu=st.dictionaries(st.integers(1, 64), MICROS, max_size=3),
    fastest=st.dictionaries(NAMES, MICROS, max_size=3),
    ceiling=st.none() | st.builds(Ceiling, st.integers(1, 64).map(float), NAMES),
    replicas=st.none() | st.builds(Replicas, COUNTS, TIMES),
    busy=few(st.builds(Busy, TIMES, COUNTS.map(lambda n: n / 1000))),
    wanted=few(VALUES),
    tried=st.just("") | NAMES,
    first=st.none() | MEASURED,
    unknown=st.dictionaries(
        NAMES.map(lambda name: f"newer {name}"), COUNTS | NAMES | few(COUNTS).map(list), max_size=2
    ),
)


def through_json(memory: Memory) -> Memory:
    status: dict[str, Any] = {"tuning": {"lastKnownGood": values_to_wire(memory.last_known_good)}}
    if memory.pending is not None:
        status["pending"] = render_pending(memory.pending)
    tuner, status = orjson.loads(orjson.dumps([render_tuner(memory), status]))
    return parse_memory(tuner, status)


@given(MEMORIES)
def test_what_is_remembered_comes_back(memory: Memory) -> None:
    assert through_json(memory) == memory


def test_no_policy_is_so_large_that_its_memory_is() -> None:
    names = [f"{number:02}".ljust(63, "x") for number in range(32)]
    values: Values = {WORKERS: 4.0, **{pool(name): 100.0 for name in names}, **{cache(name): 300.0 for name in names}}
    now = datetime(2026, 1, 1, tzinfo=UTC)
    known = tuple(Known(values, 1.0, 0.1, number, now) for number in range(50))
    rejected = tuple(Rejected(values, now + timedelta(hours=number)) for number in range(8))

    wire = render_tuner(Memory(known=known, rejected=rejected, unknown={"regimes": "x"}))

    assert len(orjson.dumps(wire)) <= MOST_BYTES
    # The newest are kept.
    assert parse_memory(wire, {}).rejected == rejected[-len(wire["rejected"]) :] != ()
