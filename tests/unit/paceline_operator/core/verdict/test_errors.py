"""When errors count against a change: above the objective, beyond chance, and enough to matter."""

from random import Random

import pytest
from paceline_operator.core.situation.memory import Measured
from paceline_operator.core.verdict.errors import g_statistic, more_errors
from situations import measured

ONE_PER_MILLE = 0.001


@pytest.mark.parametrize(
    ("before", "after", "allowed", "worse"),
    [
        pytest.param((200, 20_000), (240, 20_000), ONE_PER_MILLE, False, id="chance"),
        pytest.param((200, 20_000), (300, 20_000), ONE_PER_MILLE, True, id="half as many again"),
        pytest.param((354, 20_000), (400, 20_000), 0.05, False, id="within the objective"),
        pytest.param((0, 20_000), (19, 20_000), ONE_PER_MILLE, False, id="just within the objective"),
        pytest.param((0, 20_000), (60, 20_000), ONE_PER_MILLE, True, id="from none to three per mille"),
        pytest.param((0, 2_000), (4, 2_000), ONE_PER_MILLE, False, id="four errors tell nothing"),
        pytest.param((10_000, 1_000_000), (10_900, 1_000_000), ONE_PER_MILLE, False, id="surely, but by little"),
        pytest.param((10_000, 1_000_000), (11_500, 1_000_000), ONE_PER_MILLE, True, id="surely, and by much"),
        pytest.param((5, 20_000), (20_000, 20_000), ONE_PER_MILLE, True, id="all fail"),
        pytest.param((300, 20_000), (200, 20_000), ONE_PER_MILLE, False, id="fewer"),
    ],
)
def test_more_errors(before: tuple[int, int], after: tuple[int, int], allowed: float, worse: bool) -> None:
    one = measured(error_ratio=before[0] / before[1], samples=before[1])
    other = measured(error_ratio=after[0] / after[1], samples=after[1])
    assert more_errors(one, other, allowed) is worse


def test_the_worked_example() -> None:
    assert g_statistic(200, 20_000, 300, 20_000) == pytest.approx(20.4, abs=0.1)


def test_an_empty_window_tells_nothing() -> None:
    assert g_statistic(0, 0, 30, 2_000) == g_statistic(30, 2_000, 0, 0) == 0


@pytest.mark.parametrize(("ratio", "samples"), [(0.01, 20_000), (0.02, 20_000), (0.01, 2_000), (0.002, 2_000)])
def test_windows_in_which_nothing_changed_are_not_blamed(ratio: float, samples: int) -> None:
    """A fixed limit of 0.1 points took 15 to 37 % of such changes back."""
    chance = Random(7)

    def window() -> Measured:
        # A normal stands in for the binomial: its mean is at least 4, and only its tail matters here.
        errors = max(0.0, chance.gauss(samples * ratio, (samples * ratio * (1 - ratio)) ** 0.5))
        return measured(error_ratio=errors / samples, samples=samples)

    blamed = sum(more_errors(window(), window(), ONE_PER_MILLE) for _ in range(5_000))
    assert blamed <= 50
