"""The `paceline` command: reads the command line, makes one call for each command, and renders errors as one line.

Each command imports what it needs when it runs, so that `paceline serve` does not load the load generator.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from paceline.errors import PacelineError

app = typer.Typer(
    name="paceline",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


Application = Annotated[str, typer.Argument(metavar="MODULE:APP", help="The ASGI application, e.g. shop.main:app.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        from paceline.startline.shown import version_text

        sys.stdout.write(version_text())
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", "-v", callback=_show_version, is_eager=True, help="Versions, in one line.")
    ] = False,
) -> None:
    """Serves async Python applications and changes their capacity while they run."""


# Its options come from the table of start lines, which knows those of gunicorn and uvicorn, too.
@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def serve(context: typer.Context) -> None:
    """Serve an application: one pod's process tree. Start lines of gunicorn and uvicorn work as they are."""
    from paceline.startline.command import serve as run

    run(context.args)


@app.command()
def check(
    application: Application,
    lifespan: Annotated[
        bool, typer.Option("--lifespan/--no-lifespan", help="Run its start-up and shutdown once. [lifespan]")
    ] = True,
) -> None:
    """Say what an application would do under `paceline serve`, before any deploy. Runs its lifespan once."""
    from paceline.startline.command import prepare

    target = prepare(application)
    # A fresh interpreter: what this command has imported must not be taken for the application's.
    options = () if lifespan else ("--no-lifespan",)
    os.execv(sys.executable, [sys.executable, "-P", "-m", "paceline.check", target, *options])  # noqa: S606


@app.command()
def load(
    url: Annotated[str, typer.Argument(metavar="URL", help="What to ask for, e.g. http://127.0.0.1:8000/products.")],
    rate: Annotated[float, typer.Option(min=0.01, max=100_000, metavar="R", help="Requests a second.")],
    duration: Annotated[str, typer.Option("--for", metavar="D", help="How long, e.g. 30s or 2m.")],
    method: Annotated[
        str | None, typer.Option("--method", "-X", metavar="METHOD", help="[GET, or POST with a body]")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="'NAME: VALUE'", help="May be given several times.")
    ] = None,
    body: Annotated[
        str | None, typer.Option("--body", "-d", metavar="TEXT|@FILE", help="What every request sends.")
    ] = None,
    connections: Annotated[int, typer.Option(min=1, max=10_000, help="Keep-alive connections.")] = 64,
    timeout: Annotated[str, typer.Option(metavar="D", help="A later response is a failure.")] = "30s",
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON object.")] = False,
) -> None:
    """Ask for a URL at a constant rate, whatever the responses do. Exit status 0: rate kept, nothing failed."""
    from paceline.durations import parse_duration
    from paceline.load.command import drive
    from paceline.load.openloop import Plan
    from paceline.load.target import parse_target, read_body

    sent = b"" if body is None else read_body(body)
    plan = Plan(
        target=parse_target(url, method=method or ("GET" if body is None else "POST"), headers=header or (), body=sent),
        rate=rate,
        seconds=parse_duration(duration).total_seconds(),
        connections=connections,
        timeout_seconds=parse_duration(timeout).total_seconds(),
    )
    raise typer.Exit(drive(plan, as_json=as_json))


@app.command()
def up(
    demo: Annotated[bool, typer.Option("--demo", help="Start mis-tuned, under load, and watch.")] = False,
    duration: Annotated[
        str | None, typer.Option("--for", metavar="D", help="End after this, e.g. 90s. [Ctrl-C]")
    ] = None,
    policy: Annotated[Path | None, typer.Option(metavar="FILE", help="A TuningPolicy; edit it while it runs.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the API listens.")] = 8000,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="Save the last screen as an SVG.")] = None,
) -> None:
    """Run the whole platform on this machine: PostgreSQL, Valkey, the reference API, the operator."""
    from rich.console import Console

    from paceline.durations import parse_duration
    from paceline.local.up import Options
    from paceline.local.up import up as run

    seconds = None if duration is None else parse_duration(duration).total_seconds()
    raise typer.Exit(run(Options(demo, seconds, policy, port, picture=picture), Console()))


def main() -> NoReturn:
    """The console entry. Expected errors are one line on stderr; only a bug shows a traceback."""
    try:
        status = app(standalone_mode=False, prog_name="paceline")
    except (PacelineError, TyperException) as error:
        message, status = _describe(error)
        if message:
            sys.stderr.write(f"paceline: error: {message}\n")
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    sys.exit(status)


def _describe(error: PacelineError | TyperException) -> tuple[str, int]:
    if isinstance(error, TyperException):
        return " ".join(error.format_message().split()), error.exit_code
    return " ".join(str(error).split()), error.exit_status
