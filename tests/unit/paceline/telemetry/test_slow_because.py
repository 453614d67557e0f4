"""What a slow request was slow for, as a table."""

import pytest
from paceline.telemetry.slow_because import SLOW_BECAUSE, named_cause, slow_because, spent_attributes
from paceline.telemetry.time_spent import MOST_STEPS, OUTCOME, Kind, TimeSpent

WAIT, HOLD, LOOKUP, FETCH, CALL, RUN = Kind.WAIT, Kind.HOLD, Kind.LOOKUP, Kind.FETCH, Kind.CALL, Kind.RUN


@pytest.mark.parametrize(
    ("totals", "lag", "seconds", "cause"),
    [
        pytest.param({(WAIT, "postgres"): 0.65}, 0, 0.7, "pool postgres: waited 650 ms", id="too small a pool"),
        pytest.param(
            {(WAIT, "postgres"): 0.65, (FETCH, "products"): 0.66, (LOOKUP, "products"): 0.67},
            *(0.01, 0.7, "pool postgres: waited 650 ms"),
            id="the wait, not the fetch around it",
        ),
        pytest.param(
            {(HOLD, "postgres"): 0.6, (WAIT, "postgres"): 0.01},
            *(0.0, 0.7, "pool postgres: held a connection for 600 ms"),
            id="a slow database",
        ),
        pytest.param(
            {(HOLD, "postgres"): 0.69, (CALL, "users"): 0.68},
            *(0.0, 0.7, "upstream users: took 680 ms"),
            id="a connection held during a slow call",
        ),
        pytest.param(
            {(FETCH, "prices"): 0.5, (LOOKUP, "prices"): 0.51},
            *(0, 0.6, "cache prices: fetched for 500 ms"),
            id="a cold cache",
        ),
        pytest.param({(LOOKUP, "prices"): 0.5}, 0, 0.6, "cache prices: took 500 ms", id="somebody else's fetch"),
        pytest.param({(RUN, "reports"): 12.0}, 0, 12.5, "pool reports: ran for 12.0 s", id="a process"),
        pytest.param({(HOLD, "redis"): 0.001}, 0.5, 0.55, "event loop: blocked for 500 ms", id="a blocking call"),
        pytest.param({(WAIT, "postgres"): 0.1}, 0.05, 0.7, None, id="nothing that explains a fifth"),
        pytest.param({}, 0.0, 0.7, None, id="nothing at all"),
    ],
)
def test_the_first_cause_is_named(
    totals: dict[tuple[Kind, str], float], lag: float, seconds: float, cause: str | None
) -> None:
    assert slow_because(totals, lag, seconds) == cause


def test_what_was_spent_are_seconds_by_what_they_were_spent_on() -> None:
    spent = TimeSpent()
    spent.note(WAIT, "postgres", 1.0, 1.25)
    spent.note(WAIT, "postgres", 2.0, 2.25)
    spent.note(LOOKUP, "products", 3.0, 3.0, attributes={OUTCOME: "hit"})
    assert spent_attributes(spent, 0.01) == {
        "paceline.wait.postgres": 0.5,
        "paceline.loop_lag": 0.01,
        "paceline.cache.products": "hit",
    }
    assert named_cause(spent, 0.0, 0.6) == {SLOW_BECAUSE: "pool postgres: waited 500 ms"}
    assert named_cause(spent, 0.0, 60.0) == {}


def test_a_handler_with_thousands_of_queries_stays_small_and_adds_up() -> None:
    spent = TimeSpent()
    for number in range(10_000):
        spent.below(7).note(HOLD, "postgres", number, number + 0.5)
    assert len(spent.steps) == MOST_STEPS
    assert spent.totals() == {(HOLD, "postgres"): 5000.0}
