"""What a setting gives under the load to plan for: busy seconds count, and what was measured nearest to it."""

from datetime import timedelta
from typing import Any

import pytest
from paceline_operator.core.situation.experience import recall_nearest
from paceline_operator.core.situation.memory import Known, Memory
from paceline_operator.core.situation.room import expected_p95
from paceline_operator.core.situation.situation import Situation
from situations import NOW, fitted, served, values

HERE = values(2, 8)


def known(load: float, p95: float, **changes: Any) -> Known:
    return Known(**{"values": HERE, "load": load, "p95_seconds": p95, "windows": 1, "time": NOW, **changes})


def lulled(*seen: Known) -> Situation:
    """200 requests a second and pod, and what was measured before."""
    return served(2, 8, memory=Memory(known=seen))


@pytest.mark.parametrize(
    ("seen", "nearest"),
    [
        pytest.param((), None, id="nothing is known"),
        pytest.param((known(300.0, 0.030), known(260.0, 0.027)), 300.0, id="the highest load"),
        pytest.param((known(360.0, 0.060),), None, id="above what is planned for"),
        pytest.param((known(210.0, 0.025),), None, id="the same regime"),
        pytest.param((known(150.0, 0.020),), None, id="less than now"),
        pytest.param((known(300.0, 0.030, values=values(3, 8)),), None, id="other values"),
        pytest.param((known(300.0, 0.030, template="older"),), None, id="of other pods"),
        pytest.param((known(300.0, 0.030, time=NOW - timedelta(hours=2)),), None, id="too long ago"),
    ],
)
def test_the_window_nearest_to_the_load_to_plan_for(seen: tuple[Known, ...], nearest: float | None) -> None:
    found = recall_nearest(lulled(*seen), HERE, 200.0, 350.0)

    assert (found.load if found else None) == nearest


def test_the_model_starts_from_what_was_measured_nearest() -> None:
    unknowing, knowing = lulled(), lulled(known(300.0, 0.036))
    model = fitted(unknowing)
    far, near = (expected_p95(each, model, HERE, 0.024, 1.6) for each in (unknowing, knowing))

    assert far is not None
    assert near is not None
    assert near > 0.036, "320 a second are not faster than 300"
    assert near != far
    faster = lulled(known(300.0, 0.020))
    assert expected_p95(faster, model, HERE, 0.024, 1.6) == far, "more load was not faster: something else has changed"


def test_a_queue_that_is_full_in_busy_seconds_has_no_room() -> None:
    given = lulled()
    model = fitted(given)

    assert model.under(2.35).p95(2, {"postgres": 8}) is not None
    assert expected_p95(given, model, HERE, 0.024, 2.35) is None
    calm = expected_p95(given, model, HERE, 0.024, 1.25)
    plain, risen = model.p95(2, {"postgres": 8}), model.under(1.25).p95(2, {"postgres": 8})
    assert calm is not None
    assert plain is not None
    assert risen is not None
    assert calm > 0.024 * risen / plain
