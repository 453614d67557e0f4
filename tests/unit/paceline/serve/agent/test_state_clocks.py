"""Times in `/state`: a moment is told on the wall clock, a life of the pod is named once."""

from datetime import UTC, datetime, timedelta

from paceline.serve.agent.state import Clocks

STARTED = datetime(2026, 1, 1, tzinfo=UTC)


def clocks(now: float, wall: datetime) -> Clocks:
    return Clocks(now, wall, 100.0, STARTED)


def test_a_life_keeps_its_name_whatever_the_wall_clock_does() -> None:
    paused = clocks(160.0, STARTED + timedelta(seconds=60, milliseconds=3))
    set_back = clocks(160.0, STARTED - timedelta(hours=1))
    assert paused.started_at == set_back.started_at == "2026-01-01T00:00:00.000Z"


def test_a_moment_is_told_by_the_wall_clock_of_now() -> None:
    assert clocks(160.0, STARTED + timedelta(seconds=60)).at(130.0) == "2026-01-01T00:00:30.000Z"
