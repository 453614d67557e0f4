"""Each level of the process tree gets longer to stop than the level below it."""

from hypothesis import given
from hypothesis import strategies as st
from paceline.serve import deadlines

SECONDS = st.floats(min_value=0.01, max_value=3600)


def test_the_worked_example() -> None:
    assert deadlines.worker_stop_seconds(5, 30) == 38
    assert deadlines.arbiter_stop_seconds(5, 30) == 41


@given(keepalive=SECONDS, graceful=SECONDS)
def test_no_level_is_killed_while_the_one_below_may_still_stop(keepalive: float, graceful: float) -> None:
    drain = max(graceful, deadlines.idle_drain_seconds(keepalive))
    worker = deadlines.worker_stop_seconds(keepalive, graceful)
    # gunicorn's clock has whole seconds: the arbiter may wait one longer than asked.
    assert keepalive < deadlines.idle_drain_seconds(keepalive)
    assert drain + deadlines.LIFESPAN_SHUTDOWN_SECONDS < worker
    assert worker + 1 < deadlines.arbiter_stop_seconds(keepalive, graceful)
