"""The body of every response that is not a success, and how a route documents those it may give."""

from inspect import cleandoc
from itertools import groupby
from typing import Any

from pydantic import BaseModel

from paceline_api import errors


class Problem(BaseModel):
    """`error` is for programs, `detail` for people, `request_id` for whoever reads the log."""

    error: str
    detail: str
    request_id: str


def documented(*problems: type[errors.Problem]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for a route that may give these errors, with an example of each."""
    ordered = sorted(problems, key=lambda one: one.status)
    return {int(status): _response(list(group)) for status, group in groupby(ordered, key=lambda one: one.status)}


def _response(problems: list[type[errors.Problem]]) -> dict[str, Any]:
    texts = {one.__name__: cleandoc(one.__doc__ or "").splitlines()[0] for one in problems}
    examples = {name: {"summary": text, "value": _example(name, text)} for name, text in texts.items()}
    return {
        "model": Problem,
        "description": " Or: ".join(texts.values()),
        "content": {"application/json": {"examples": examples}},
    }


def _example(error: str, detail: str) -> dict[str, str]:
    return Problem(error=error, detail=detail, request_id="6f1d2c0b9a5e4c3f8f7a1f0e2d3c4b5a").model_dump()
