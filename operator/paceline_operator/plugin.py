"""`kubectl paceline`: what a person asks and switches, with the rights that kubectl has. One call each.

Whatever knows the Kubernetes client is imported when it is called: `check` and `local` need not wait for it.
"""

import asyncio
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from paceline_operator.contract.report import Shown, rendered
from paceline_operator.crd.exported import Format
from paceline_operator.errors import OperatorError, UsageError
from paceline_operator.ports import PolicyKey

app = typer.Typer(
    name="kubectl-paceline",
    help="Asks and switches the tuning of workloads in the cluster of your kubeconfig.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


Named = Annotated[str, typer.Argument(metavar="[NS/]NAME", help="A TuningPolicy.")]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", metavar="NAME", help="[that of the kubeconfig's context]")
]
Folder = Annotated[Path | None, typer.Option(metavar="DIR", help="Of `local`; else the cluster is asked.")]


@app.command()
def why(
    policy: Named,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="Look before this: ISO 8601, or HH:MM in UTC.")] = None,
    namespace: Namespace = None,
    folder: Folder = None,
    jaeger: Annotated[
        str | None, typer.Option(metavar="URL", envvar="PACELINE_JAEGER_URL", help="Jaeger's page, for links.")
    ] = None,
) -> None:
    """What changed in the hour before: the change, its reason, p95 before and after, the trace."""
    from paceline_operator.why import parse_instant, tell

    now = datetime.now(UTC)
    typer.echo(asyncio.run(tell(_key(policy, namespace), parse_instant(at, now), folder=folder, jaeger=jaeger)))


@app.command()
def top(
    namespace: Namespace = None,
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="The whole cluster.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Print it and end, as where the output is no terminal.")] = False,
    every: Annotated[float, typer.Option(metavar="SECONDS", min=0.5, help="Between two looks.")] = 2.0,
) -> None:
    """The fleet as a live table, the worst first: latency beside its objective, values in force, the last change."""
    from rich.console import Console

    from paceline_operator.cluster.looking import namespace_in_use
    from paceline_operator.top.screen import show

    where = None if all_namespaces else namespace or namespace_in_use()
    with suppress(KeyboardInterrupt):
        asyncio.run(show(where, every_seconds=every, once=once, console=Console()))


@app.command()
def pause(policy: Named, namespace: Namespace = None) -> None:
    """Nothing moves on the policy until `resume`; pods keep what they run."""
    from paceline_operator import switching

    typer.echo(asyncio.run(switching.pause(_key(policy, namespace))))


@app.command()
def resume(policy: Named, namespace: Namespace = None) -> None:
    """Ends a pause and a rollback."""
    from paceline_operator import switching

    typer.echo(asyncio.run(switching.resume(_key(policy, namespace))))


@app.command()
def rollback(
    policy: Named,
    to: Annotated[str, typer.Argument(metavar="GENERATION|baseline", help="Of `why`; baseline: what pods start with.")],
    namespace: Namespace = None,
) -> None:
    """The values of a generation come back, and stay until `resume`."""
    from paceline_operator import switching

    typer.echo(asyncio.run(switching.rollback(_key(policy, namespace), to)))


@app.command()
def budget(
    name: Annotated[str, typer.Argument(metavar="[NS/]NAME", help="A ConnectionBudget.")],
    namespace: Namespace = None,
    folder: Folder = None,
) -> None:
    """Who holds how many connections of a server, and why: a row for each policy that refers to the budget."""
    from paceline_operator.budget import tell

    typer.echo(asyncio.run(tell(_key(name, namespace), folder)))


@app.command()
def export(
    policy: Named,
    form: Annotated[
        Format,
        typer.Option("--format", metavar="FORM", help="policy: pinned; env: variables; helm: values of our chart."),
    ] = "policy",
    namespace: Namespace = None,
    folder: Folder = None,
) -> None:
    """The values in force, to keep in Git or to leave Paceline with."""
    from paceline_operator.export import export as fetch

    typer.echo(asyncio.run(fetch(_key(policy, namespace), form, folder)), nl=False)


@app.command()
def inspect(
    workload: Annotated[
        str | None, typer.Argument(metavar="KIND/NAME", help="deploy/NAME, statefulset/NAME, rollout/NAME.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--filename", "-f", metavar="FILE", help="Manifests in place of the cluster; - is stdin."),
    ] = None,
    namespace: Namespace = None,
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


def _key(text: str, namespace: str | None) -> PolicyKey:
    """`NAMESPACE/NAME`, or `NAME` in a namespace that was given or is in use."""
    from paceline_operator.cluster.looking import namespace_in_use
    from paceline_operator.why import parse_key

    return parse_key(text if "/" in text else f"{namespace or namespace_in_use()}/{text}")


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
