"""How often an agent that keeps dying is started again."""

from paceline.serve.supervisor.restarts import Restarts


def test_pauses_grow_and_end() -> None:
    restarts, pauses = Restarts(), []
    while not (restarts := restarts.after(lived_seconds=1)).hopeless:
        pauses.append(restarts.pause_seconds)
    assert pauses == [0, 1, 2, 4, 8]


def test_a_long_life_ends_the_row() -> None:
    restarts = Restarts()
    for _ in range(100):
        restarts = restarts.after(lived_seconds=61)
        assert restarts.pause_seconds == 0
        assert not restarts.hopeless
