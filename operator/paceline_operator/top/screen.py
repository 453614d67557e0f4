"""The table on a terminal, read anew every few seconds until somebody stops it; once where nobody watches."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from paceline_operator.cluster.api_server import ApiServer
from paceline_operator.cluster.looking import cluster_seen_by
from paceline_operator.cluster.policies import policies_in
from paceline_operator.errors import OperatorError
from paceline_operator.ports import PlatformUnavailable
from paceline_operator.top.table import Line, lines_of

_STYLES: Final = {"head": "bold", "broken": "red", "missed": "yellow", "waiting": "dim", "met": ""}


async def show(namespace: str | None, *, every_seconds: float, once: bool, console: Console) -> None:
    """Of a namespace, or of all where it is None.

    Raises:
        UsageError: no access to a cluster, or no TuningPolicies in it.
        OperatorError: the API server did not respond the first time, or refuses.
    """
    try:
        async with cluster_seen_by("top") as (server, _):
            lines = await _read(server, namespace)
            if once or not console.is_terminal:
                console.print(_text(lines), soft_wrap=True)
                return
            with Live(_text(lines), console=console, screen=True, auto_refresh=False) as live:
                while True:
                    await asyncio.sleep(every_seconds)
                    lines, trouble = await _again(server, namespace, lines)
                    live.update(_text(lines, trouble), refresh=True)
    except PlatformUnavailable as error:
        raise OperatorError(str(error)) from error


async def _read(server: ApiServer, namespace: str | None) -> Sequence[Line]:
    return lines_of(await policies_in(server, namespace), datetime.now(UTC))


async def _again(server: ApiServer, namespace: str | None, lines: Sequence[Line]) -> tuple[Sequence[Line], str]:
    """What was read last stays on the screen while the API server is away, and why."""
    try:
        return await _read(server, namespace), ""
    except PlatformUnavailable as error:
        return lines, str(error)


def _text(lines: Sequence[Line], trouble: str = "") -> Text:
    told = [Text(line.text, style=_STYLES[line.state]) for line in lines]
    told += [Text("no policies: `kubectl get tp --all-namespaces` lists them", style="dim")] if len(lines) == 1 else []
    told += [Text(f"\nthis is old: {trouble}", style="red")] if trouble else []
    return Text("\n", no_wrap=True).join(told)
