"""`paceline up`: the whole platform on this machine, wired here. Everything it starts ends with it, however it ends."""

import asyncio
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

import uvloop
from rich.console import Console

from paceline import lifeline
from paceline.errors import UsageError
from paceline.local import children
from paceline.local.demo import Demo
from paceline.local.picture import Pictured
from paceline.local.postgres import postgres
from paceline.local.programs import Addresses, databases, script
from paceline.local.server_process import free_port
from paceline.local.session import Session
from paceline.local.summary import judge
from paceline.local.valkey import valkey
from paceline.local.view import Facts, render_summary, view_for
from paceline.local.workspace import Workspace, claimed
from paceline.serve.addresses import check_free

_MANAGEMENT_PORT: Final = 9090
_CONSOLE_PORT: Final = 8082
_MAX_CONNECTIONS: Final = "max_connections=200"
_EVICTING: Final = ("--maxmemory", "128mb", "--maxmemory-policy", "allkeys-lru")
_KEEPING: Final = ("--maxmemory", "64mb", "--maxmemory-policy", "noeviction")
_SIGNALLED: Final = 128  # as shells count: and the number of the signal
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    demo: bool = False
    seconds: float | None = None
    """End after this long; None: at Ctrl-C."""
    policy: Path | None = None
    port: int = 8000
    folder: Path = Path(".paceline")
    picture: Path | None = None
    """Where the last screen is put, as an SVG."""


def up(options: Options, console: Console) -> int:
    """Starts everything, runs until Ctrl-C or until the time is up, stops everything.

    Returns the exit status: 0 when it ended as asked and a demonstration with a time showed what it promises.

    Raises:
        PacelineError: something could not start, or ended by itself.
    """
    lifeline.adopt_orphans()
    check_free(("127.0.0.1", options.port), option="--port")
    if options.policy is not None:
        _check_policy(options.policy)
    try:
        with _terminated_like_interrupted(), ExitStack() as stack:
            folder = options.folder / "demo" if options.demo else options.folder / "up"
            workspace = stack.enter_context(claimed(folder))
            template = "demo.yaml" if options.demo else "policy.yaml"
            workspace.prepare(options.policy, template, anew=options.demo)
            console.print("Starting PostgreSQL, Valkey, the API and the operator ...", style="dim")
            addresses = Addresses(
                database_url=stack.enter_context(postgres(workspace.postgres, _MAX_CONNECTIONS, password=_password())),
                redis_url=stack.enter_context(valkey(workspace.valkey, *_EVICTING, password=_password())),
                security_redis_url=stack.enter_context(valkey(workspace.security, *_KEEPING, password=_password())),
                port=options.port,
                management_port=_usual(_MANAGEMENT_PORT),
                console_port=_usual(_CONSOLE_PORT),
                upstream_port=free_port(),
                smtp_port=free_port(),
            )
            workspace.write_environment(databases(addresses))
            return _run(options, workspace, addresses, console)
    finally:
        children.end_leftovers()


def _run(options: Options, workspace: Workspace, addresses: Addresses, console: Console) -> int:
    demo = Demo() if options.demo else None
    facts = Facts(
        links=_links(workspace, addresses),
        rate=demo.rate if demo else None,
        objective_seconds=workspace.objective_seconds(),
        total_seconds=options.seconds,
    )
    session = Session(workspace, addresses, demo, options.seconds)
    view = view_for(console, facts)
    if options.picture is not None:
        view = Pictured(view, facts, options.picture)
    try:
        # uvloop: the load must not take the CPU that it is to measure, and children are started without threads about.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            stopped_by = runner.run(session.run(view))
    finally:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # what is left to do is to stop the databases; that takes a moment
        view.close()
    status = 0 if stopped_by is None or options.seconds is None else _SIGNALLED + stopped_by
    if demo is None or facts.objective_seconds is None:
        return status
    interrupted = stopped_by is not None
    summary = judge(session.progress, facts.objective_seconds, session.ended, interrupted=interrupted)
    console.print(render_summary(session.progress, facts, summary))
    return 1 if summary.shortcomings and not interrupted else status


def _links(workspace: Workspace, addresses: Addresses) -> tuple[tuple[str, str], ...]:
    api, management = f"http://127.0.0.1:{addresses.port}", f"http://127.0.0.1:{addresses.management_port}"
    return (
        ("API", f"{api}/"),
        ("documentation", f"{api}/docs"),
        ("console", f"http://127.0.0.1:{addresses.console_port}/"),
        ("metrics", f"{management}/metrics"),
        ("state", f"{management}/state"),
        ("policy", f"{_readable(workspace.policy)}  (edit it: it counts at once)"),
        ("databases", f"{_readable(workspace.environment)}  (addresses and passwords, new at each start)"),
        ("logs", _readable(workspace.log("service").parent)),
    )


def _check_policy(policy: Path) -> None:
    """Raises UsageError with what `paceline-operator check` says of the file."""
    done = subprocess.run(  # noqa: S603 - our own command line
        [script("paceline-operator"), "check", str(policy)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise UsageError(f"--policy {(done.stderr.strip().splitlines() or ['cannot be checked'])[0]}")


def _password() -> str:
    """Drawn at each start: other users of this machine reach loopback, too."""
    return secrets.token_urlsafe(32)


def _readable(path: Path) -> str:
    return os.path.relpath(path)


def _usual(port: int) -> int:
    """The usual port if it is free: nobody asked for a certain one."""
    try:
        check_free(("127.0.0.1", port), option="")
    except UsageError:
        return free_port()
    return port


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM raises, as Ctrl-C does, so that every context stops what it started."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
