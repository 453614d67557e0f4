"""The command lines and environments of what a local platform runs. Builds values; starts nothing."""

import os
import secrets
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paceline.errors import UsageError
from paceline.local.children import Program
from paceline.local.workspace import Workspace

APPLICATION: Final = "paceline_api.app:app"
UPSTREAM: Final = "paceline_api.upstream:app"
"""Stands in for the services that the application asks."""
SERVICE_STOP_SECONDS: Final = 45.0
"""Longer than the service itself takes at most: it drains, and kills what does not end."""
OPERATOR_STOP_SECONDS: Final = 10.0
JOBS_STOP_SECONDS: Final = 15.0
"""Longer than a mail under way is given."""


@dataclass(frozen=True, slots=True, repr=False)
class Addresses:
    """Where everything listens, on loopback. The addresses of databases hold their passwords."""

    database_url: str
    redis_url: str
    security_redis_url: str
    port: int
    management_port: int
    console_port: int
    upstream_port: int
    smtp_port: int


def migration(workspace: Workspace, addresses: Addresses) -> Program:
    """Brings the database to the newest schema and ends."""
    command = (sys.executable, "-P", "-m", "paceline_api.migrate")
    return Program("the migration", command, workspace.log("migrate"), _environment(addresses), 5.0)


def upstream(workspace: Workspace, addresses: Addresses) -> Program:
    """The stand-in for other services."""
    address = ("--host=127.0.0.1", f"--port={addresses.upstream_port}")
    command = (sys.executable, "-P", "-m", "uvicorn", UPSTREAM, *address, "--no-access-log")
    return Program("the upstream", command, workspace.log("upstream"), dict(os.environ), 5.0)


def mails(workspace: Workspace, addresses: Addresses) -> Program:
    """A mail server that prints what it gets into its log."""
    address = f"--listen=127.0.0.1:{addresses.smtp_port}"
    printing = ("--nosetuid", "--class=aiosmtpd.handlers.Debugging", "stdout")
    command = (sys.executable, "-P", "-u", "-m", "aiosmtpd", address, *printing)
    return Program("the mail server", command, workspace.log("mails"), dict(os.environ), 5.0)


def jobs(workspace: Workspace, addresses: Addresses) -> Program:
    """What sends the reference API's mails, to the mail server above unless the environment names another."""
    command = (sys.executable, "-P", "-m", "paceline_api.jobs")
    environment = {"API_MAIL_SMTP_URL": f"smtp://127.0.0.1:{addresses.smtp_port}", **_environment(addresses)}
    return Program("the jobs", command, workspace.log("jobs"), environment, JOBS_STOP_SECONDS)


def service(workspace: Workspace, addresses: Addresses, settings: Mapping[str, str]) -> Program:
    """The reference API as a pod runs it; `settings` are added to its environment."""
    command = (
        script("paceline"),
        "serve",
        APPLICATION,
        f"--bind=127.0.0.1:{addresses.port}",
        f"--management-bind=127.0.0.1:{addresses.management_port}",
        f"--tuning={workspace.document.absolute()}",
    )
    # Signed in until the next start: nobody else's tokens, and nothing secret kept in a file.
    environment = {"API_TOKEN_SECRET": secrets.token_urlsafe(32), **_environment(addresses), **settings}
    return Program("paceline serve", command, workspace.log("service"), environment, SERVICE_STOP_SECONDS)


def operator(workspace: Workspace, addresses: Addresses, on_line: Callable[[bytes], None]) -> Program:
    """The operator's loop over the workspace, with its console; each decision is a line for `on_line`."""
    command = (script("paceline-operator"), "local", str(workspace.operator.absolute()))
    log = workspace.log("operator")
    environment = {**os.environ, "PACELINE_OPERATOR_CONSOLE_BIND": f"127.0.0.1:{addresses.console_port}"}
    return Program("paceline-operator local", command, log, environment, OPERATOR_STOP_SECONDS, on_line)


def script(name: str) -> str:
    """The path of a command that was installed with this one.

    Raises:
        UsageError: it is missing.
    """
    path = Path(sysconfig.get_path("scripts")) / name
    if not path.exists():
        raise UsageError(f"{name} is not installed beside this Python; pip install 'paceline[local]'")
    return str(path)


def databases(addresses: Addresses) -> dict[str, str]:
    """The variables that name the databases, passwords included."""
    return {
        "DATABASE_URL": addresses.database_url,
        "REDIS_URL": addresses.redis_url,
        "SECURITY_REDIS_URL": addresses.security_redis_url,
    }


def _environment(addresses: Addresses) -> dict[str, str]:
    return {"UPSTREAM_URL": f"http://127.0.0.1:{addresses.upstream_port}", **os.environ, **databases(addresses)}
