"""The figures of `bench-tuner` as tables: on a terminal, and as docs/tuning.md shows them."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import geometric_mean, mean, median
from typing import Any, Final

from rich.table import Table

Results = Mapping[str, Sequence[Mapping[str, Any]]]
COLUMNS: Final = (
    *("scenario", "regret", "over time", "T10", "above the objective", "reversals in 100", "changes in the last 20"),
    *("growths while met", "unsafe"),
)
CALMNESS: Final = ("objectiveViolations", "reversalsPer100", "changesLast20")


def mean_regret(results: Sequence[Mapping[str, Any]]) -> float | None:
    """Of the final settings; None without any."""
    return mean(result["regret"] for result in results) if results else None


def max_regret(results: Sequence[Mapping[str, Any]]) -> float | None:
    """The worst of the final settings; None without any."""
    return max((result["regret"] for result in results), default=None)


def peers(theirs: Results) -> list[str]:
    """The simpler ways that were played, in that order."""
    return list(dict.fromkeys(result["controller"] for results in theirs.values() for result in results))


def scenario_table(ours: Results, theirs: Results) -> Table:
    """A row a scenario: ours, then each baseline's regret over time."""
    columns = ("regret", "max", "over time", "T10", "missed", "reversals", "last 20", "unsafe")
    table = Table(title="regret of the final setting and over time; then the regret over time of the others")
    table.add_column("scenario")
    baselines = peers(theirs)
    for column in (*columns, *baselines):
        table.add_column(column, justify="right")
    for name in sorted(ours):
        results = ours[name]
        t10s = [result["t10"] for result in results]
        told = {result["controller"]: result["regretCumulative"] for result in theirs.get(name, ())}
        table.add_row(
            name,
            f"{mean_regret(results):.3f}",
            f"{max_regret(results):.3f}",
            f"{mean(result['regretCumulative'] for result in results):.2f}",
            "never" if None in t10s else f"{median(t10s):g} ({max(t10s)})",
            f"{mean(result['objectiveViolations'] for result in results):.1f}",
            f"{mean(result['reversalsPer100'] for result in results):.1f}",
            f"{mean(result['changesLast20'] for result in results):.1f}",
            str(sum(result["unsafeTrials"] for result in results)),
            *(f"{told[baseline]:.2f}" if baseline in told else "" for baseline in baselines),
        )
    return table


def goal_table(goals: Iterable[Mapping[str, Any]]) -> Table:
    """What is asked of all scenarios together, and what came out."""
    table = Table(title="all scenarios")
    for column in ("figure", "measured", "theirs", "goal", "met"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for row in goals:
        met = "yes" if row["met"] else "[red]no[/]"
        theirs = "" if row["theirs"] is None else f"{row['theirs']:.3f}"
        goal = "" if row["goal"] is None else f"≤ {row['goal']:g}" if row["theirs"] is None else "≤ theirs"
        table.add_row(row["metric"], f"{row['ours']:.3f}", theirs, goal, met)
    return table


def markdown(ours: Results, theirs: Results, goals: Iterable[Mapping[str, Any]]) -> str:
    """Scenarios, goals, the regret over time beside the simpler ways, and what each of them spent for what."""
    tables = (_scenarios(ours), _goals(goals), _peers(ours, theirs), _spending(ours, theirs))
    return "\n\n".join("\n".join(rows) for rows in tables)


def _scenarios(ours: Results) -> list[str]:
    """The worst seed's regret and T10; means of the rest."""
    rows = [_row(COLUMNS), _rule(len(COLUMNS))]
    for name in sorted(ours):
        results = ours[name]
        t10s = [result["t10"] for result in results]
        cells = (
            f"{max_regret(results):.2f}",
            f"{_over_time(results):.2f}",
            "never" if None in t10s else f"{max(t10s)}",
            *(f"{mean(result[key] for result in results):.3g}" for key in CALMNESS),
            f"{sum(result['growthsWhileMet'] for result in results)}",
            f"{sum(result['unsafeTrials'] for result in results)}",
        )
        rows.append(_row((name, *cells)))
    return rows


def _goals(goals: Iterable[Mapping[str, Any]]) -> list[str]:
    rows = [_row(("all scenarios", "measured", "theirs", "goal")), _rule(4)]
    for row in goals:
        theirs = "" if row["theirs"] is None else f"{row['theirs']:.2f}"
        bound = "theirs" if row["theirs"] is not None else f"{row['goal']:g}"
        goal = "a bound" if row["goal"] is None else f"≤ {bound}: {'met' if row['met'] else 'missed'}"
        rows.append(_row((row["metric"], f"{row['ours']:.3f}".rstrip("0").rstrip("."), theirs, goal)))
    return rows


def _peers(ours: Results, theirs: Results) -> list[str]:
    """A row a scenario, then the geometric mean and the unsafe intervals of all."""
    names = peers(theirs)
    rows = [_row(("regret over time", "Paceline", *names)), _rule(len(names) + 2)]
    told = {name: {result["controller"]: result for result in results} for name, results in theirs.items()}
    for scenario in sorted(told):
        cells = [_over_time(ours[scenario]), *(told[scenario][name]["regretCumulative"] for name in names)]
        rows.append(_row((f"`{scenario}`", *(f"{cell:.3g}" for cell in cells))))
    columns = [[_over_time(ours[s]) for s in told]]
    columns += [[told[s][name]["regretCumulative"] for s in told] for name in names]
    rows.append(_row(("geometric mean", *(f"{geometric_mean(column):.3g}" for column in columns))))
    unsafe = [sum(r["unsafeTrials"] for rs in ours.values() for r in rs)]
    unsafe += [sum(told[s][name]["unsafeTrials"] for s in told) for name in names]
    rows.append(_row(("unsafe intervals", *map(str, unsafe))))
    return rows


def _spending(ours: Results, theirs: Results) -> list[str]:
    """A row a way: the share of the intervals inside the objective, and what a pod took for it, over all scenarios."""
    rows = [_row(("over all intervals", "inside the objective", "workers", "connections", "memory")), _rule(5)]
    told = {"Paceline": [result for results in ours.values() for result in results]}
    told |= {
        name: [r for results in theirs.values() for r in results if r["controller"] == name] for name in peers(theirs)
    }
    for name, results in told.items():
        workers, connections, memory = (
            mean(result["spent"][what] for result in results) for what in ("workers", "connections", "memoryBytes")
        )
        inside = mean(1 - result["objectiveViolations"] / max(1, len(result["decisions"])) for result in results)
        rows.append(_row((name, f"{inside:.1%}", f"{workers:.2f}", f"{connections:.1f}", f"{memory / 2**20:.0f} MiB")))
    return rows


def _over_time(results: Sequence[Mapping[str, Any]]) -> float:
    return mean(result["regretCumulative"] for result in results)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(columns: int) -> str:
    return _row(["---"] * columns)
