"""What was forgotten while it was fetched is not cached, however much else is forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline.resources.cache.entry import Entry
from paceline.resources.cache.memory import LEASE_SECONDS, Memory

ENTRY = Entry("x", 0.0, 0.0)


@pytest.mark.invariant
@given(others=st.lists(st.integers(0, 10_000).map(str), max_size=50), all_at_once=st.booleans())
def test_a_fetch_that_began_before_a_forget_is_not_cached(others: list[str], all_at_once: bool) -> None:
    memory = Memory(10)
    began = memory.epoch
    memory.forget("k")
    for other in others:
        memory.forget(other)
    if all_at_once:
        memory.forget_all()
    assert not memory.cache("k", ENTRY, began)
    assert memory.cache("k", ENTRY, memory.epoch)


@pytest.mark.invariant
def test_also_when_more_was_forgotten_than_is_remembered() -> None:
    memory = Memory(10)
    began = memory.epoch
    for number in range(10_000):
        memory.forget(str(number))
    assert not memory.cache("0", ENTRY, began)
    assert not memory.cache("never forgotten", ENTRY, began), "which is not known any more, so the careful choice"
    assert memory.cache("0", ENTRY, memory.epoch)


def test_a_leased_memory_serves_for_a_second_after_it_took_an_entry() -> None:
    now = [100.0]
    memory = Memory(10, clock=lambda: now[0])
    memory.cache("k", ENTRY, memory.epoch)
    now[0] += LEASE_SECONDS
    assert memory.serves(memory.entries["k"])
    memory.heard_until = now[0] - 0.01
    assert memory.serves(memory.entries["k"])
    now[0] += 0.01
    assert not memory.serves(memory.entries["k"])


def test_only_the_very_entry_is_dropped() -> None:
    memory = Memory(10)
    memory.cache("k", Entry("new", 1.0, 0.0), memory.epoch)
    memory.drop("k", ENTRY)
    assert [*memory.entries] == ["k"]
    memory.drop("k", Entry("new", 1.0, 0.0))
    assert [*memory.entries] == []
