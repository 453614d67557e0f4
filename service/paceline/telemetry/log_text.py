"""Makes text and JSON of anything and never raises: what is logged may come from a client, or be broken itself."""

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

import orjson

_DEEPEST: Final = 16
_MOST_VALUES: Final = 10_000
_INT64: Final = range(-(2**63), 2**64)
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_IN_TRACEBACK: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_BREAKS_LINES: Final = re.compile("[\x7f-\x9f\u2028\u2029]")
_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def text_of(value: Any) -> str:
    """`str` of anything; of what raises, its type."""
    try:
        return value if type(value) is str else str(value)
    except Exception as error:
        return _unprintable(value, error)


def repr_of(value: Any) -> str:
    """`repr` of anything; of what raises, its type."""
    try:
        return repr(value)
    except Exception as error:
        return _unprintable(value, error)


def escaped(text: str) -> str:
    """One line that a terminal shows as it is: no line breaks, no control sequences, nothing that turns text around."""
    return _CONTROL.sub(_escape, text)


def escaped_lines(text: str) -> str:
    """Likewise, but line breaks and tabs stay, as a traceback needs them."""
    return _CONTROL_IN_TRACEBACK.sub(_escape, text)


def json_line(fields: Mapping[str, Any]) -> str:
    """One JSON object in one line, whatever the values are: what JSON does not know becomes text."""
    try:
        line = orjson.dumps(fields, default=text_of, option=orjson.OPT_NON_STR_KEYS).decode()
    except Exception:  # surrogates, large integers, circles, odd keys, values that raise: all of them are rare
        line = orjson.dumps(_Plain().of(fields, ())).decode()
    return line if line.isascii() else _BREAKS_LINES.sub(_escape_in_json, line)


def json_text(text: str) -> str:
    """A text as JSON has it, quotes included."""
    try:
        line = orjson.dumps(text).decode()
    except TypeError:  # surrogates
        line = orjson.dumps(_encodable(text)).decode()
    return line if line.isascii() else _BREAKS_LINES.sub(_escape_in_json, line)


class _Plain:
    """Copies a value as what JSON knows; circles, and what is deep or large without end, become text."""

    def __init__(self) -> None:
        self._left = _MOST_VALUES

    def of(self, value: Any, above: tuple[int, ...]) -> Any:
        self._left -= 1
        kind = type(value)
        if kind is str:
            return _encodable(value)
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            return value if value in _INT64 else _large(value)
        if isinstance(value, (bytes, bytearray)):
            return bytes(value).decode("utf-8", "backslashreplace")
        if kind in (dict, list, tuple, set, frozenset) and len(above) < _DEEPEST and self._left > 0:
            return "..." if id(value) in above else self._of_container(value, (*above, id(value)))
        return _encodable(text_of(value)) if len(above) < _DEEPEST else f"<{kind.__name__}>"

    def _of_container(self, value: Any, above: tuple[int, ...]) -> Any:
        if isinstance(value, dict):
            items = islice(value.items(), max(self._left, 0))
            return {_encodable(text_of(key)): self.of(each, above) for key, each in items}
        return [self.of(each, above) for each in islice(value, max(self._left, 0))]


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _large(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # Python refuses to write thousands of digits
        return f"<integer of {value.bit_length()} bits>"


def _unprintable(value: Any, error: Exception) -> str:
    return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _escape_in_json(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
