"""What pydantic found wrong with a spec, as `field: what is wrong`."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError


def problems(error: ValidationError, kind: str) -> Iterator[str]:
    """One line for each field that is wrong: `spec.pools[0].min: …`."""
    for problem in error.errors(include_url=False):
        yield _problem(dict(problem), kind)


def _problem(problem: Mapping[str, Any], kind: str) -> str:
    where = "spec"
    for part in problem["loc"]:
        where += f"[{part}]" if isinstance(part, int) else f".{part}"
    what = f"is not a field of a {kind}" if problem["type"] == "extra_forbidden" else problem["msg"]
    return f"{where}: {what.removeprefix('Value error, ')}"
