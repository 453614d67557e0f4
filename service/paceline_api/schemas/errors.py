"""The body of every answer that is not a success."""

from typing import Any, Final

from pydantic import BaseModel


class Problem(BaseModel):
    """`error` is for programs, `detail` for people, `request_id` for whoever reads the log."""

    error: str
    detail: str
    request_id: str


UNAVAILABLE: Final[dict[int | str, dict[str, Any]]] = {
    422: {"model": Problem, "description": "The request is not valid."},
    503: {"model": Problem, "description": "A database did not answer in time. Try again."},
}
NOT_FOUND: Final[dict[int | str, dict[str, Any]]] = {404: {"model": Problem, "description": "There is no such thing."}}
TOO_LARGE: Final[dict[int | str, dict[str, Any]]] = {413: {"model": Problem, "description": "The body is too large."}}
