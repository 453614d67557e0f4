"""The traceparent header. Whatever a client sends, nothing fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline.telemetry.traceparent import Remote, parse_traceparent

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        pytest.param(f"00-{TRACE}-{SPAN}-01", True, id="sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-00", False, id="not sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-03", True, id="the random flag beside the sampled one"),
        pytest.param(f"00-{TRACE}-{SPAN}-02", False, id="the random flag alone"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-what-comes", True, id="a later version may say more"),
    ],
)
def test_a_wellformed_header_is_understood(header: str, sampled: bool) -> None:
    expected = Remote(int(TRACE, 16), int(SPAN, 16), sampled)
    assert parse_traceparent(header) == parse_traceparent(header.encode()) == expected


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="empty"),
        pytest.param(f"ff-{TRACE}-{SPAN}-01", id="version ff is forbidden"),
        pytest.param(f"00-{TRACE}-{SPAN}-01-more", id="version 00 has four fields"),
        pytest.param(f"00-{'0' * 32}-{SPAN}-01", id="trace id zero"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", id="span id zero"),
        pytest.param(f"00-{TRACE.upper()}-{SPAN}-01", id="upper case"),
        pytest.param(f"00-{TRACE[1:]}-{SPAN}-01", id="trace id too short"),
        pytest.param(f"00-{TRACE}-{SPAN}-1", id="flags too short"),
        pytest.param(f"00-{TRACE}-{SPAN}-01\n", id="a line end"),
        pytest.param("00-é-ü-01", id="no ASCII"),
    ],
)
def test_a_malformed_header_is_ignored(header: str) -> None:
    assert parse_traceparent(header) is None


@given(st.binary(max_size=80))
def test_no_bytes_make_it_fail(header: bytes) -> None:
    parse_traceparent(header)


@given(st.text(max_size=80))
def test_no_text_makes_it_fail(header: str) -> None:
    parse_traceparent(header)
