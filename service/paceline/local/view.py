"""Shows a progress: a live screen on a terminal, lines elsewhere. Rendering only; the progress decides nothing here."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from typing import Final, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from paceline.durations import format_seconds
from paceline.local.progress import Decision, Progress, Sample
from paceline.local.summary import Summary

_BARS: Final = "▁▂▃▄▅▆▇█"
_LEAST_SECONDS, _MOST_SECONDS = 0.005, 5.0
_LINE_EVERY_SECONDS: Final = 5.0
_CURVE_WIDTH: Final = 60
_STOPPING: Final = "Stopping everything ..."
_MOST_ROWS: Final = 6
"""Decisions on the screen: a terminal of 24 lines must hold everything."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What does not change while it runs."""

    links: tuple[tuple[str, str], ...]
    """What is where: ("API", "http://…")."""
    rate: float | None = None
    """Requests a second of the demonstration; None: nobody drives load."""
    objective_seconds: float | None = None
    total_seconds: float | None = None


class View(Protocol):
    """Told whenever something happened, and several times a second."""

    def update(self, progress: Progress, at: float) -> None: ...

    def close(self) -> None:
        """Everything is about to stop; may be called again."""


def view_for(console: Console, facts: Facts) -> View:
    """A screen where there is one."""
    console.print(header(facts), soft_wrap=True)  # an address in two pieces cannot be clicked or copied
    return Screen(console, facts) if console.is_terminal else Lines(console, facts)


class Screen:
    """Redraws in place; what it showed last stays."""

    def __init__(self, console: Console, facts: Facts) -> None:
        self._console = console
        self._facts = facts
        # Without a thread of its own: programs are started by fork, and threads do not survive one.
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="visible")
        self._live.start()

    def update(self, progress: Progress, at: float) -> None:
        self._live.update(render(progress, self._facts, at), refresh=True)

    def close(self) -> None:
        if self._live.is_started:
            self._live.stop()
            self._console.print(_STOPPING, style="dim")


@dataclass(slots=True)
class Lines:
    """One line for each decision, for each new reason to hold, and every few seconds for the load."""

    console: Console
    facts: Facts
    _rows: int = 0
    _held: str = ""
    _closed: bool = False
    _next: float = _LINE_EVERY_SECONDS

    def update(self, progress: Progress, at: float) -> None:
        for row in progress.rows[self._rows :]:
            self._print(row.at, f"{_change_text(row.decision)}  {_reason_text(row.decision).plain}")
            self._held = ""
        self._rows = len(progress.rows)
        if progress.hold is not None and progress.hold.reason != self._held:
            self._held = progress.hold.reason
            self._print(at, f"holds  {_reason_text(progress.hold).plain}")
        if at >= self._next and progress.samples:
            self._next = at + _LINE_EVERY_SECONDS
            self._print(at, f"{_load_text(progress, self.facts).plain}; {_running_text(progress).plain}")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.console.print(_STOPPING)

    def _print(self, at: float, text: str) -> None:
        self.console.print(f"{_clock(at)}  {text}", soft_wrap=True, highlight=False, markup=False)


def header(facts: Facts) -> RenderableType:
    """Where everything is."""
    width = max(len(name) for name, _ in facts.links)
    lines = [Text.assemble((name.ljust(width + 2), "bold"), (where, "cyan")) for name, where in facts.links]
    return Group(Text("Paceline runs on this machine. Ctrl-C stops everything.", style="bold"), *lines, Text())


def render(progress: Progress, facts: Facts, at: float) -> RenderableType:
    """The whole screen at a time."""
    now = Table.grid(padding=(0, 2))
    total = f" of {_clock(facts.total_seconds)}" if facts.total_seconds else ""
    now.add_row(Text("time", style="bold"), Text(_clock(at) + total))
    if facts.rate is not None:
        now.add_row(Text("load", style="bold"), _load_text(progress, facts))
    if facts.objective_seconds is not None and progress.samples:
        now.add_row(Text("p95", style="bold"), _curve(progress, facts.objective_seconds))
    now.add_row(Text("runs", style="bold"), _running_text(progress))
    if progress.hold is not None:
        now.add_row(Text("holds", style="bold"), _reason_text(progress.hold))
    return Group(now, _decisions(progress)) if progress.rows else now


def render_summary(progress: Progress, facts: Facts, summary: Summary) -> RenderableType:
    """Before → after, and the result."""
    table = Table(box=SIMPLE_HEAD, title="before → after", title_justify="left", show_header=False)
    objective = "" if facts.objective_seconds is None else f"objective {format_seconds(facts.objective_seconds)}"
    table.add_row("p95", _milliseconds(summary.before_seconds), "→", _milliseconds(summary.after_seconds), objective)
    if progress.first and progress.running:
        first, last = progress.first, progress.running
        table.add_row("workers", str(first.workers), "→", str(last.workers), "")
        for name, size in last.pools.items():
            counts = "per pod" if name in last.per_pod else "per worker"
            table.add_row(f"pool {name}", str(first.pools.get(name, "-")), "→", str(size), counts)
    failed = Text(str(progress.failed), style="bold red" if progress.failed else "bold green")
    table.add_row("requests", "", "", f"{progress.succeeded} succeeded", Text.assemble(failed, " failed"))
    table.add_row("decisions", "", "", str(len(progress.rows)), ", ".join(row.decision.reason for row in progress.rows))
    return Group(table, *_verdict(progress, summary))


def _verdict(progress: Progress, summary: Summary) -> Iterator[Text]:
    if not summary.shortcomings:
        yield Text("The service met its objective, and no request failed.", style="bold green")
    elif summary.interrupted and not progress.failed:
        yield Text("Stopped before the service had met its objective; no request failed. Tuning takes about a minute.")
    elif summary.interrupted:
        yield Text(f"Stopped early; {summary.shortcomings[-1]}.")
    else:
        yield Text("The demonstration did not show what it should:", style="bold red")
        yield from (Text(f"- {each}", style="red") for each in summary.shortcomings)


def _decisions(progress: Progress) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("time", justify="right")
    table.add_column("generation", justify="right")
    table.add_column("p95 before", justify="right")
    table.add_column("change", no_wrap=True)
    table.add_column("why", overflow="fold")
    for row in progress.rows[-_MOST_ROWS:]:
        ack = "" if row.decision.acked else " …"
        table.add_row(
            _clock(row.at),
            f"{row.decision.generation}{ack}",
            _milliseconds(row.p95_seconds),
            Text("\n".join(_changes(row.decision)), style="bold"),
            _reason_text(row.decision),
        )
    return table


def _changes(decision: Decision) -> Iterator[str]:
    for change in decision.changes:
        name = str(change["tunable"]).removeprefix("pools.").removeprefix("caches.")
        yield f"{name} {'?' if change['old'] is None else change['old']} → {change['new']}"


def _reason_text(decision: Decision) -> Text:
    """Reason and message, without the changes at the message's start: they stand beside it."""
    changes = ", ".join(_changes(decision)).replace(" → ", "→")
    return Text.assemble((decision.reason, "yellow"), f": {decision.message.removeprefix(f'{changes}: ')}")


def _load_text(progress: Progress, facts: Facts) -> Text:
    latest = progress.samples[-1] if progress.samples else None
    p95 = latest.window.p95 if latest else None
    late = p95 is None or (facts.objective_seconds is not None and p95 > facts.objective_seconds)
    return Text.assemble(
        f"{facts.rate:g} requests/s, p95 " if facts.rate is not None else "p95 ",
        (_milliseconds(p95), "bold red" if late else "bold green"),
        f" (objective {_milliseconds(facts.objective_seconds)})",
        f", waiting {latest.outstanding if latest else 0}, succeeded {progress.succeeded}, failed ",
        (str(progress.failed), "bold red" if progress.failed else "bold green"),
    )


def _running_text(progress: Progress) -> Text:
    if progress.running is None:
        return Text("starting")
    running = progress.running
    pools = ", ".join(f"pool {name} {size}" for name, size in running.pools.items())
    text = f"generation {running.generation}: workers {running.workers}, {pools}"
    return Text(f"{text} ({running.pending[0]})" if running.pending else text)


def _curve(progress: Progress, objective_seconds: float) -> Text:
    """p95 of each second on a logarithmic scale, 5 ms to 5 s, red above the objective."""
    curve = Text()
    for sample in list(progress.samples)[-_CURVE_WIDTH:]:
        curve.append(*_bar(sample, objective_seconds))
    return curve


def _bar(sample: Sample, objective_seconds: float) -> tuple[str, str]:
    p95 = sample.window.p95
    if p95 is None:
        return "█", "red"
    share = log(max(p95, _LEAST_SECONDS) / _LEAST_SECONDS) / log(_MOST_SECONDS / _LEAST_SECONDS)
    bar = _BARS[min(int(share * len(_BARS)), len(_BARS) - 1)]
    return bar, "red" if p95 > objective_seconds else "green"


def _change_text(decision: Decision) -> str:
    return f"generation {decision.generation}: {', '.join(_changes(decision))}"


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else format_seconds(seconds)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
