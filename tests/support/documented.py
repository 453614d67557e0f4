"""Commands as a page of the documentation gives them, run word for word."""

import json
import math
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"


class Page:
    """One page. A command is named by the heading above it; a heading may stand over several."""

    def __init__(self, name: str) -> None:
        self.commands: dict[str, list[str]] = {}
        heading, block = "", None
        for line in (DOCS / name).read_text().splitlines():
            if line.startswith("#") and block is None:
                heading = line.lstrip("# ")
            elif line == "```sh":
                block = []
            elif line == "```" and block is not None:
                self.commands.setdefault(heading, []).append("\n".join(block))
                block = None
            elif block is not None:
                block.append(line)

    def run(self, heading: str, number: int = 0, **variables: object) -> str:
        """Standard output of the command, which may use the variables; fails with what it said."""
        command = self.commands[heading][number]
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            env={**os.environ, **{name: str(value) for name, value in variables.items()}},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ask(self, heading: str, number: int = 0, **variables: object) -> list[dict[str, Any]]:
        """`data` of the JSON that the command prints."""
        response = json.loads(self.run(heading, number, **variables))
        assert not response.get("errors"), response["errors"]
        found: list[dict[str, Any]] = response["data"]
        return found


def spans_of(traces: list[dict[str, Any]], service: str) -> list[dict[str, Any]]:
    """The spans of one service in a response of Jaeger, each with its tags as a mapping, under `tags`."""
    return [
        {**span, "tags": {tag["key"]: tag["value"] for tag in span["tags"]}}
        for trace in traces
        for span in trace["spans"]
        if trace["processes"][span["processID"]]["serviceName"] == service
    ]


def p95_range(drawn: Sequence[float]) -> tuple[float, float]:
    """Between which of the drawn values, in order, the 95th percentile of all lies.

    Ranks within three standard deviations of a binomial: of 250 draws from rank 227 to 247.
    """
    share = 3 * math.sqrt(0.95 * 0.05 / len(drawn))
    last = len(drawn) - 1
    return drawn[int((0.95 - share) * len(drawn))], drawn[min(int((0.95 + share) * len(drawn)), last)]
