"""How one response is judged at the moment it is read, and that it comes back from Redis as it went."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline.resources.cache.entry import Entry, Verdict, judge, pack, unpack
from paceline.resources.cache.plain import Plain

VERSION = b"0123456789abcdef" * 2
SECONDS = st.floats(0, 1e6)


@pytest.mark.parametrize(
    ("age", "ttl", "staleness", "draw", "verdict"),
    [
        pytest.param(0, 60, 0, 1.0, Verdict.FRESH, id="just fetched"),
        pytest.param(59.9, 60, 0, 1.0, Verdict.FRESH, id="nearly as old as the TTL"),
        pytest.param(60, 60, 0, 1.0, Verdict.EXPIRED, id="as old as the TTL"),
        pytest.param(60, 60, 300, 1.0, Verdict.STALE, id="as old as the TTL, staleness allowed"),
        pytest.param(360, 60, 300, 1.0, Verdict.EXPIRED, id="beyond TTL and staleness"),
        pytest.param(0, 0, 300, 1.0, Verdict.EXPIRED, id="a TTL of zero: never without a fetch"),
        pytest.param(59.3, 60, 0, 0.05, Verdict.FRESH, id="the worked example, before it is due"),
        pytest.param(59.5, 60, 0, 0.05, Verdict.DUE, id="the worked example, due"),
        pytest.param(-5, 60, 0, 1.0, Verdict.FRESH, id="from a machine whose clock is a little ahead"),
        pytest.param(-3600, 60, 300, 1.0, Verdict.EXPIRED, id="from a machine whose clock is wrong"),
        pytest.param(float("-inf"), 60, 300, 1.0, Verdict.EXPIRED, id="at the end of time"),
        pytest.param(float("nan"), 60, 300, 1.0, Verdict.EXPIRED, id="at no time"),
    ],
)
def test_an_entry_is_judged_by_its_age(age: float, ttl: float, staleness: float, draw: float, verdict: Verdict) -> None:
    assert judge(Entry("x", 1000.0 - age, 0.2), 1000.0, ttl, staleness, draw) is verdict


@given(age=SECONDS, ttl=SECONDS, staleness=SECONDS, draw=st.floats(1e-9, 1.0), longer=SECONDS)
def test_a_longer_ttl_never_makes_an_entry_worse(
    age: float, ttl: float, staleness: float, draw: float, longer: float
) -> None:
    entry, order = Entry("x", -age, 0.2), list(Verdict)
    before = judge(entry, 0.0, ttl, staleness, draw)
    after = judge(entry, 0.0, ttl + longer, staleness, draw)
    assert order.index(after) <= order.index(before)


@given(value=st.recursive(st.none() | st.booleans() | st.text(), st.lists), created=SECONDS, took=SECONDS)
def test_an_entry_survives_the_way_to_redis_and_back(value: object, created: float, took: float) -> None:
    content = pack(Entry(value, created, took), VERSION, Plain())
    assert unpack(content, VERSION, Plain()) == Entry(value, created, took)
    assert unpack(content, VERSION[::-1], Plain()) is None, "the key was forgotten meanwhile"


@pytest.mark.parametrize("content", [b"", b"\x02", b"\x01" + bytes(60), b"text"])
def test_what_another_release_wrote_is_no_entry(content: bytes) -> None:
    assert unpack(content, VERSION, Plain()) is None
