"""Durations that are written for something else: what was probably meant, and never more than a refusal."""

import pytest
from paceline_operator.core.model.durations import parse_duration
from paceline_operator.crd.slips import MOST_MINUTES_OF_A_RESPONSE, slip_in_duration


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("500m", "write 500ms for milliseconds, or 8h20m if you mean that"),
        ("500.0m", "write 500.0ms for milliseconds, or 8h20m if you mean that"),
        ("45m", "write 45ms for milliseconds, or 2700s if you mean that"),
        ("45", "write 45ms or 45s"),
        ("45MS", "write 45ms"),
        (" 45ms ", "write 45ms"),
        ("45 ms", "write 45ms"),
        ("1m 30s", "write 1m30s"),
        ("1,5s", "write 1.5s"),
        ("1e3ms", "write 1000ms"),
        ("1.5E2 ms", "write 150ms"),
        ("500\u03bcs", "write 500\u00b5s"),
        ("5 Minutes", "write 5m"),
        ("500 min", "write 500ms for milliseconds, or 8h20m if you mean that"),
        ("500M", "write 500ms for milliseconds, or 8h20m if you mean that"),
    ],
)
def test_what_was_probably_meant(written: str, told: str) -> None:
    slip = slip_in_duration(written, MOST_MINUTES_OF_A_RESPONSE)
    assert slip is not None
    assert slip.endswith(told)
    meant = told.split()[1]
    assert slip_in_duration(meant, MOST_MINUTES_OF_A_RESPONSE) is None
    assert parse_duration(meant)


@pytest.mark.parametrize("written", ["45ms", "0.045s", "1m30s", "9m", "0.5m", "1.0s", "500\u00b5s"])
def test_durations_are_no_slips(written: str) -> None:
    assert slip_in_duration(written, MOST_MINUTES_OF_A_RESPONSE) is None


@pytest.mark.parametrize(
    "written", ["", "ms", "soon", "-5ms", "inf", "PT45S", "9" * 400 + "m", "9" * 5000 + "ms", "1e99ms"]
)
def test_of_what_means_nothing_nothing_is_guessed(written: str) -> None:
    assert slip_in_duration(written) is None
    with pytest.raises(ValueError, match="duration"):
        parse_duration(written)
