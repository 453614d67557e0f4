"""Commands as a page of the documentation gives them, run word for word."""

import json
import os
import subprocess
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
        answer = json.loads(self.run(heading, number, **variables))
        assert not answer.get("errors"), answer["errors"]
        found: list[dict[str, Any]] = answer["data"]
        return found


def spans_of(traces: list[dict[str, Any]], service: str) -> list[dict[str, Any]]:
    """The spans of one service in an answer of Jaeger, each with its tags as a mapping, under `tags`."""
    return [
        {**span, "tags": {tag["key"]: tag["value"] for tag in span["tags"]}}
        for trace in traces
        for span in trace["spans"]
        if trace["processes"][span["processID"]]["serviceName"] == service
    ]
