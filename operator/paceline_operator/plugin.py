"""`kubectl paceline`: what a person asks and switches, with the rights that kubectl has. One call each."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from paceline_operator.contract.report import Shown, rendered
from paceline_operator.errors import OperatorError, UsageError

app = typer.Typer(
    name="kubectl-paceline",
    help="Asks and switches the tuning of workloads in the cluster of your kubeconfig.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def why(
    policy: Annotated[str, typer.Argument(metavar="NS/NAME", help="A TuningPolicy.")],
    at: Annotated[str | None, typer.Option(metavar="TIME", help="Look before this: ISO 8601, or HH:MM in UTC.")] = None,
    folder: Annotated[Path | None, typer.Option(metavar="DIR", help="Of `local`; else the cluster is asked.")] = None,
    jaeger: Annotated[
        str | None, typer.Option(metavar="URL", envvar="PACELINE_JAEGER_URL", help="Jaeger's page, for links.")
    ] = None,
) -> None:
    """What changed in the hour before: the change, its reason, p95 before and after, the trace."""
    from paceline_operator.why import parse_instant, parse_key, tell

    now = datetime.now(UTC)
    typer.echo(asyncio.run(tell(parse_key(policy), parse_instant(at, now), folder=folder, jaeger=jaeger)))


@app.command()
def budget(
    name: Annotated[str, typer.Argument(metavar="NS/NAME", help="A ConnectionBudget.")],
) -> None:
    """Who holds how many connections of a server, and why: a row for each policy that refers to the budget."""
    from paceline_operator.budget import tell
    from paceline_operator.why import parse_key

    typer.echo(asyncio.run(tell(parse_key(name))))


@app.command()
def inspect(
    workload: Annotated[
        str | None, typer.Argument(metavar="KIND/NAME", help="deploy/NAME, statefulset/NAME, rollout/NAME.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--filename", "-f", metavar="FILE", help="Manifests in place of the cluster; - is stdin."),
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", metavar="NAME", help="[that of the kubeconfig's context]")
    ] = None,
    container: Annotated[
        str | None,
        typer.Option("--container", "-c", metavar="NAME", help="The one that serves. [found by port, command]"),
    ] = None,
    output: Annotated[
        Shown, typer.Option("--output", "-o", metavar="FORM", help="report, patch for kubectl, or manifest to apply.")
    ] = "report",
) -> None:
    """What a workload's pods lack to be tuned, line by line, and the patch: docs/pod-contract.md.

    Nothing is printed of one that lacks nothing. Exit status 1: it lacks something that is needed.
    """
    from paceline_operator.inspection import of_cluster, of_manifests, parse_workload

    wanted = None if workload is None else parse_workload(workload)
    if file is not None:
        found = of_manifests(text_of(file), wanted, namespace, container)
    elif wanted is not None:
        found = asyncio.run(of_cluster(wanted, namespace, container))
    else:
        raise UsageError("inspect what? Write deploy/NAME, or give manifests with --filename")
    typer.echo(rendered(found, output), nl=False)
    if found.needed and output == "report":
        raise typer.Exit(1)


def text_of(file: Path) -> str:
    """A file, or standard input for `-`. Raises UsageError."""
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{file}: {error.strerror if isinstance(error, OSError) else 'is not text in UTF-8'}"
        ) from error


def main() -> None:
    """The entry point: an expected error is one line on stderr and its exit status."""
    try:
        app()
    except OperatorError as error:
        typer.echo(f"kubectl-paceline: {error}", err=True)
        sys.exit(error.exit_status)
