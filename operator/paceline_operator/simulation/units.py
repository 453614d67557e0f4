"""Durations, sizes and numbers of a scenario file, as people write them in Kubernetes: `4ms`, `60s`, `120Mi`."""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from paceline_operator.core.model.durations import parse_duration

_UNITS: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9}


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a duration such as 4ms or 60s")
    return parse_duration(value).total_seconds()


def _bytes(value: object) -> float:
    text = str(value)
    suffix = next((unit for unit in _UNITS if text.endswith(unit)), "")
    try:
        if isinstance(value, bool):
            raise ValueError(value)
        return float(text.removesuffix(suffix)) * _UNITS.get(suffix, 1)
    except ValueError as error:
        raise ValueError(f"{value!r} is not a number of bytes: write one such as 512Mi or 2Gi") from error


def _whole(value: object) -> int:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str) or float(value) % 1:
            raise ValueError(value)
        return int(float(value))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{value!r} is not a whole number: write one such as 5") from error


def _ttl(value: object) -> float:
    return _seconds(value.get("ttlSeconds", value.get("ttl")) if isinstance(value, Mapping) else value)


Seconds = Annotated[float, BeforeValidator(_seconds)]
Bytes = Annotated[float, BeforeValidator(_bytes)]
Size = Annotated[int, BeforeValidator(_whole), Field(ge=1)]
Ttl = Annotated[float, BeforeValidator(_ttl), Field(ge=0)]


class Part(BaseModel):
    """A part of a file: what it does not know is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
