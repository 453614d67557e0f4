"""What the live benchmark makes of the operator's lines and of two grids."""

import pytest
from paceline.local.progress import Decision

from tests.benchmarks.live.grid import spearman
from tests.benchmarks.live.service import Setting
from tests.benchmarks.live.tuning import Tuning


def decision(setting: Setting, *, acked: bool = False, changes: int = 1) -> Decision:
    return Decision("Probe", "", 1, ({"tunable": "workers"},) * changes, setting.values, acked)


def tuning(*moves: tuple[float, Setting]) -> Tuning:
    found = Tuning(Setting(1, 1), [(0.0, Setting(1, 1))], seconds=60.0)
    for at, setting in moves:
        found.decided(at, decision(setting))
        found.decided(at + 1, decision(setting, acked=True))
    return found


def test_what_held_longest_in_the_last_third_is_final_not_a_probe_at_the_end() -> None:
    assert tuning((10, Setting(2, 4)), (55, Setting(2, 5))).final == Setting(2, 4)
    assert tuning((10, Setting(2, 4)), (45, Setting(2, 5))).final == Setting(2, 5)
    assert tuning().final == Setting(1, 1)


def test_each_setting_outside_the_bounds_is_unsafe_once() -> None:
    assert tuning((10, Setting(2, 9)), (20, Setting(5, 1)), (30, Setting(4, 8))).unsafe == 2


def test_a_decision_to_hold_changes_nothing() -> None:
    found = tuning()
    found.decided(10, decision(Setting(9, 9), changes=0))
    assert found.settings == [(0.0, Setting(1, 1))]


def test_ranks_count_not_sizes() -> None:
    one = {Setting(1, 1): 1.0, Setting(1, 2): 2.0, Setting(1, 3): 3.0}
    assert spearman(one, {Setting(1, 1): 10.0, Setting(1, 2): 20.0, Setting(1, 3): 900.0}) == pytest.approx(1)
    assert spearman(one, {Setting(1, 1): 1.0, Setting(1, 2): 3.0, Setting(1, 3): 2.0}) == pytest.approx(0.5)
