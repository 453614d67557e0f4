"""Erlang-C against published and simulated numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline_operator.core.queueing.queueing import MOST_SERVERS, erlang_c, servers_needed, wait_quantile


@pytest.mark.parametrize(
    ("servers", "load", "probability"),
    [
        pytest.param(9, 5.85, 0.174, id="5.85 Erlang on 9 servers: 17.4 % wait"),
        pytest.param(13, 5.85, 0.0079, id="on 13: 0.8 %"),
        pytest.param(1, 0.5, 0.5, id="one server waits with the probability that it is busy"),
        pytest.param(5, 5.0, 1.0, id="a load that fills the servers: everybody waits"),
    ],
)
def test_probability_of_waiting(servers: int, load: float, probability: float) -> None:
    assert erlang_c(servers, load) == pytest.approx(probability, rel=0.01)


@pytest.mark.parametrize(
    ("pools", "each"),
    [(1, 48), (4, 16), (16, 7), (40, 4), (80, 3)],
    ids=lambda value: str(value),
)
def test_forty_erlang_in_fewer_pools_need_fewer_connections(pools: int, each: int) -> None:
    assert servers_needed(40 / pools, 0.005, 0.002) == each


def test_one_server_is_the_least() -> None:
    assert servers_needed(0.0, 0.005, 0.002) == 1


def test_the_search_ends() -> None:
    assert servers_needed(2.0 * MOST_SERVERS, 0.005, 0.002) == MOST_SERVERS


def test_an_overloaded_queue_waits_for_ever() -> None:
    assert wait_quantile(4, 4.0, 0.005, 0.99) == float("inf")


def test_the_worked_example_of_a_wait() -> None:
    assert wait_quantile(1, 0.5, 0.010, 0.99) == pytest.approx(0.0782, rel=0.001)  # 10 ms / 0.5 · ln(0.5 / 0.01)
    assert wait_quantile(9, 0.5, 0.010, 0.99) == 0.0, "fewer than one in a hundred waits"


@given(st.floats(0.01, 50), st.floats(0.0005, 0.1))
def test_what_is_needed_suffices_and_one_less_does_not(load: float, hold: float) -> None:
    needed = servers_needed(load, hold, 0.002)

    assert wait_quantile(needed, load, hold, 0.99) <= 0.002
    assert needed == 1 or wait_quantile(needed - 1, load, hold, 0.99) > 0.002
