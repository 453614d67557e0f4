"""Log lines of anything: none raises, none is lost, none can be taken for two or for another."""

import io
import json
import logging
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline.telemetry.log_lines import JsonLines, LineHandler, TextLines

HUGE = 10**5000
CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)
DEEP: Any = "bottom"
for _ in range(5000):
    DEEP = [DEEP]


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class BrokenError(Exception):
    __str__ = Broken.__str__
    __repr__ = Broken.__str__


def record(message: Any = "x", *args: Any, error: Any = None, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("shop", logging.INFO, "shop.py", 1, message, args, error)
    vars(made).update(extra)
    return made


def as_json(made: logging.LogRecord) -> dict[str, Any]:
    [line] = _written(JsonLines("worker", dict), made)
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def _written(formatter: logging.Formatter, made: logging.LogRecord) -> list[str]:
    """What a strict UTF-8 file would hold, in lines as the strictest reader cuts them."""
    raw = io.BytesIO()
    handler = LineHandler(io.TextIOWrapper(raw, "utf-8", errors="strict", write_through=True))
    handler.setFormatter(formatter)
    handler.handle(made)
    return raw.getvalue().decode().splitlines()


ODD = [
    pytest.param("\ud800", id="surrogate"), pytest.param(HUGE, id="integer"), pytest.param(2**64, id="65 bits"),
    pytest.param(float("nan"), id="nan"), pytest.param(CIRCLE, id="circle"),
    pytest.param(DEEP, id="deep"), pytest.param(Broken(), id="broken"), pytest.param([Broken()], id="broken within"),
    pytest.param({("a", 1): 2, None: Broken()}, id="odd keys"), pytest.param({Broken(): 1}, id="broken key"),
    pytest.param(b"\xff\x00", id="bytes"), pytest.param({1, 2}, id="set"), pytest.param(object, id="class"),
    pytest.param("a\u2028b\x85c", id="line separators"), pytest.param({"\udfff": "\ud800"}, id="surrogate key"),
]  # fmt: skip


@pytest.mark.parametrize("value", ODD)
def test_any_value_is_one_line_wherever_it_is(value: Any) -> None:
    for made in (record(value), record("%s", value), record("x", value), record("%d", value), record(odd=value)):
        assert as_json(made)["logger"] == "shop"
        assert len(_written(TextLines("worker"), made)) == 1


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(BrokenError(), id="no text"),
        pytest.param(ValueError("\ud800"), id="surrogate"),
        pytest.param(ExceptionGroup("both", [BrokenError(), KeyError("a\nb")]), id="group"),
    ],
)
def test_an_exception_whatever_it_says_is_part_of_the_line(error: Exception) -> None:
    assert type(error).__name__ in as_json(record(error=(type(error), error, None)))["exception"]
    assert type(error).__name__ in "\n".join(_written(TextLines("w"), record(error=(type(error), error, None))))


@pytest.mark.parametrize("info", [True, "text", (1, 2), (None, None, None), Broken()])
def test_exception_info_that_is_none_does_not_lose_the_record(info: Any) -> None:
    made = record("said")
    made.exc_info = info
    assert as_json(made)["message"] == "said"
    assert "said" in _written(TextLines("w"), made)[0]


def test_arguments_that_do_not_fit_are_there_beside_the_message() -> None:
    message = as_json(record("%d of %d", "one"))["message"]
    assert "%d of %d" in message
    assert "one" in message


def test_fields_that_have_a_stable_ones_name_are_kept_beside_it() -> None:
    line = as_json(record(level="none", pid=1, **{"logger": "forged"}))
    assert (line["level"], line["logger"], line["extra.level"], line["extra.logger"]) == (
        "info",
        "shop",
        "none",
        "forged",
    )


def test_what_a_stack_was_asked_for_is_in_the_line() -> None:
    made = record()
    made.stack_info = "Stack (most recent call last):\n  here"
    assert as_json(made)["stack"].endswith("here")


def test_a_context_that_fails_does_not_lose_the_record() -> None:
    def context() -> dict[str, Any]:
        raise LookupError("scope")

    assert "scope" in json.loads(JsonLines("w", context).format(record()))["context"]


FORGED = "bob\n12:00:00 worker[1] CRITICAL paid\r\x1b[2Jgone\x9b31m\u2028more\u202edesrever"


def test_text_cannot_look_like_another_line_or_steer_the_terminal() -> None:
    [line] = _written(TextLines("worker"), record("user %s", FORGED))
    assert "bob\\n12:00:00 worker[1] CRITICAL paid\\r\\x1b[2Jgone\\x9b31m\\u2028more\\u202edesrever" in line


@pytest.mark.parametrize("attribute", ["__notes__", "exceptions"])
@pytest.mark.parametrize("value", [5, "text", ["a\nb", 1], None, Broken()])
def test_an_exception_with_odd_attributes_keeps_its_traceback(attribute: str, value: Any) -> None:
    error = ValueError("first\nsecond")
    setattr(error, attribute, value)
    lines = _written(TextLines("worker"), record(error=(ValueError, error, None)))
    assert any(line.startswith(r"ValueError: first\nsecond") for line in lines)


def test_nor_can_the_message_of_an_exception_or_of_its_cause() -> None:
    try:
        try:
            raise ValueError(FORGED)
        except ValueError as cause:
            cause.add_note(f"noted {FORGED}")
            raise RuntimeError(f"outer {FORGED}") from cause
    except RuntimeError:
        made = record("failed", error=sys.exc_info())
    lines = _written(TextLines("worker"), made)
    assert len([line for line in lines if "CRITICAL paid" in line]) == 3
    assert not [line for line in lines if line.startswith("12:00:00 worker[1]")]
    assert "\x1b" not in "".join(lines)
    assert len([line for line in lines if line.startswith("Traceback")]) == 2, "tracebacks keep their lines"


@given(
    st.text(alphabet=st.characters(), max_size=30), st.dictionaries(st.text(max_size=5), st.integers() | st.floats())
)
def test_any_text_comes_back_from_json_and_is_one_line_of_text(text: str, values: dict[str, Any]) -> None:
    made = record(text, odd=values)
    encodable = text.encode("utf-8", "backslashreplace").decode()
    assert as_json(made)["message"] == encodable
    assert len(_written(TextLines("w"), made)) == 1


def test_a_stream_that_was_closed_or_that_nobody_reads_raises_nothing_and_the_line_is_written(
    capfd: pytest.CaptureFixture[str],
) -> None:
    closed = io.StringIO()
    closed.close()
    handler = LineHandler(closed)
    handler.setFormatter(JsonLines("worker", dict))
    handler.handle(record("still said"))
    assert "still said" in capfd.readouterr().err


def test_a_stream_that_cannot_encode_a_line_gets_it_escaped() -> None:
    raw = io.BytesIO()
    handler = LineHandler(io.TextIOWrapper(raw, "ascii", errors="strict", write_through=True))
    handler.setFormatter(TextLines("worker"))
    handler.handle(record("grün"))
    assert raw.getvalue().endswith(rb"gr\xfcn" + b"\n")
