"""`paceline-operator run | local | check | decide | simulate`, and all that `kubectl paceline` has: one call each."""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer

from paceline_operator import __version__
from paceline_operator.cluster.manifests import parse_manifests
from paceline_operator.crd import connectionbudget, v1alpha1
from paceline_operator.errors import InvalidSpec, OperatorError, UsageError
from paceline_operator.plugin import app as plugin
from paceline_operator.plugin import text_of
from paceline_operator.settings import OperatorSettings

PARSERS: Final[Mapping[str, Callable[[Mapping[str, Any], str], object]]] = {
    v1alpha1.KIND: v1alpha1.parse_policy,
    connectionbudget.KIND: connectionbudget.parse_budget,
}

app = typer.Typer(
    name="paceline-operator",
    help="Tunes worker counts, pool sizes and cache TTLs of running services, within the bounds of their policies.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def run(
    namespace: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Watch only this; repeat it.")] = None,
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", help="Watch the whole cluster.")] = False,
) -> None:
    """In a cluster, under kopf. Settings come from the environment (PACELINE_OPERATOR_*)."""
    settings = OperatorSettings.from_environment()
    if namespace and all_namespaces:
        raise UsageError("--namespace and --all-namespaces exclude each other: give one of them")
    if namespace or all_namespaces:
        settings = settings.model_copy(update={"namespaces": ",".join(namespace or ())})
    # kopf and the Kubernetes client take a second to import, which `check` and `local` need not wait for.
    from paceline_operator.run import run as run_in_cluster

    run_in_cluster(settings)


@app.command()
def local(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Policies, budgets, and targets.yaml.")],
) -> None:
    """The same loop over a folder of policies and processes on this machine.

    DIR/targets.yaml lists the processes: [{kind: Process, name: api, documentFile: tuning.json, stateUrls:
    [http://127.0.0.1:9090/state]}]. Each decision is one line of JSON on stdout; the log is on stderr; the status of
    policy NAME is in DIR/NAME.status.yaml, what was learnt of it in DIR/NAME.checkpoint.yaml. ConnectionBudgets are
    divided as in a cluster: `budget NAME --folder DIR` shows who holds what.
    """
    from paceline_operator.local import run_local

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(run_local(folder, OperatorSettings.from_environment(), _print_line))


@app.command()
def trial(
    workload: Annotated[str, typer.Argument(metavar="NS/NAME", help="A Deployment.")],
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Asked 20 times a second meanwhile; none may fail.")
    ] = None,
    operator_class: Annotated[str | None, typer.Option("--class", metavar="NAME", help="The operator's.")] = None,
    max_mode: Annotated[
        str, typer.Option(metavar="MODE", help="The operator's; below Auto pods are only asked.")
    ] = "Auto",
) -> None:
    """Change a value of running pods under load, and take it back: what `helm test` runs. Nothing stays."""
    from paceline_operator.trial.run import Asked
    from paceline_operator.trial.run import run as run_trial
    from paceline_operator.why import parse_key

    asked = Asked(parse_key(workload), url, operator_class or None, changes=max_mode == "Auto")
    asyncio.run(run_trial(asked, typer.echo))


@app.command()
def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Manifests of policies and budgets; - is stdin.")
    ],
) -> None:
    """Validates TuningPolicies and ConnectionBudgets without a cluster: one line an error, and exit status 2."""
    problems = [problem for file in files for problem in _problems(file)]
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(2)


@app.command()
def decide(
    policy: Annotated[Path, typer.Option(metavar="FILE", help="A manifest with one TuningPolicy.")],
    observation: Annotated[Path, typer.Option(metavar="FILE", help="Responses of /state, or {before: [], after: []}.")],
    history: Annotated[Path | None, typer.Option(metavar="FILE", help="A TuningCheckpoint.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object on stdout.")] = False,
) -> None:
    """What the operator would do on this telemetry, and why: change a file and ask again."""
    from rich.console import Console

    from paceline_operator.replay import as_json as to_json
    from paceline_operator.replay import explained, replay

    situation, decision = replay(policy, observation, history)
    if as_json:
        _print_line(to_json(situation, decision))
    else:
        Console(soft_wrap=True).print(explained(situation, decision))


@app.command()
def simulate(
    scenarios: Annotated[list[Path], typer.Argument(metavar="SCENARIO...", help="Scenario files (docs/tuning.md).")],
    as_json: Annotated[bool, typer.Option("--json", help="One object a run on stdout.")] = False,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Runs of each scenario.")] = 1,
    controller: Annotated[
        str, typer.Option(metavar="NAME", help="paceline, hpa, static, random, bayes, start, defaults, …")
    ] = "paceline",
    plot: Annotated[Path | None, typer.Option(metavar="OUT.svg", help="Draws the first scenario's first run.")] = None,
) -> None:
    """Plays fleets request by request under the operator's own core, and judges it against the exhaustive grid."""
    try:
        from paceline_operator.simulation.command import run_command
    except ImportError as error:
        raise UsageError(f"simulate needs {error.name}: pip install 'paceline[simulation]'") from error

    run_command(scenarios, seeds=seeds, controller=controller, as_json=as_json, plot=plot)


app.registered_commands += plugin.registered_commands


def _problems(file: Path) -> Iterator[str]:
    try:
        manifests = parse_manifests(text_of(file), PARSERS)
    except UsageError as error:
        yield str(error)
        return
    except InvalidSpec as error:
        yield from (f"{file}: {problem}" for problem in error.problems)
        return
    if not manifests:
        yield f"{file}: holds no {' and no '.join(PARSERS)}"
    for manifest in manifests:
        try:
            PARSERS[manifest.kind](manifest.spec, manifest.namespace)
        except InvalidSpec as error:
            yield from (f"{file}: {manifest.name}: {problem}" for problem in error.problems)


def _print_line(line: Mapping[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    sys.stdout.buffer.flush()


def _version(show: bool) -> None:
    if show:
        typer.echo(f"paceline-operator {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options before a command."""


def main() -> None:
    """The entry point: an expected error is one line on stderr and its exit status."""
    try:
        app()
    except OperatorError as error:
        typer.echo(f"paceline-operator: {error}", err=True)
        sys.exit(error.exit_status)
