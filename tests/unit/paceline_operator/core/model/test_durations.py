"""Durations as text, both ways."""

from datetime import timedelta

import pytest
from paceline_operator.core.model.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45ms", 0.045), ("60s", 60), ("1m30s", 90), ("1.5h", 5400), ("400us", 0.0004), ("400µs", 0.0004), ("0s", 0)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "45", "ms", "-1s", "1 s", "1s ", "1d", "45MS", "999999999999999h"])
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"45ms|longer"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0000004, "0.4us"),
        (0.0004, "400us"),
        (0.0332, "33.2ms"),
        (0.21, "210ms"),
        (0.9996, "1s"),
        (1.25, "1.25s"),
        (59.96, "1m"),
        (90, "1m30s"),
        (3600, "1h"),
        (5430, "1h30m30s"),
        (timedelta(milliseconds=23), "23ms"),
    ],
)
def test_a_duration_is_written_for_people(seconds: float | timedelta, text: str) -> None:
    assert format_duration(seconds) == text
