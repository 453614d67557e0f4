"""Numbers as JSON has them. pydantic would take `true` and `"12"` for numbers, and in strict mode refuse `12.0`."""

from typing import Annotated, Any

from pydantic import BeforeValidator


def _is_number(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise ValueError("must be a number")
    return value


Integer = Annotated[int, BeforeValidator(_is_number)]
Number = Annotated[float, BeforeValidator(_is_number)]
