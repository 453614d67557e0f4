"""Durations in, durations out."""

from datetime import timedelta

import pytest
from paceline.durations import format_seconds, parse_duration
from paceline.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("90s", 90), ("2m30s", 150), ("1h", 3600), ("1.5s", 1.5)]
)
def test_a_duration_is_parsed(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "90", "s", "-5s", "1d", "5s ", "five seconds"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="such as 500ms, 90s or 2m30s"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0123, "12.3 ms"), (0.0004, "0.4 ms"), (4.2, "4.2 s"), (75, "75 s"), (1234.5, "1234 s")]
)
def test_seconds_are_printed_in_the_unit_that_suits(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
