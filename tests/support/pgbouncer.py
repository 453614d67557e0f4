"""PgBouncer as a process on loopback, in front of a PostgreSQL."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from paceline.local.postgres import as_a_plain_user
from serving import free_ports

_CONFIGURATION = """
[databases]
postgres = host={host} port={server_port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {servers}
max_client_conn = {clients}
ignore_startup_parameters = extra_float_digits
"""


@contextmanager
def pgbouncer(folder: Path, dsn: str, *, mode: str, servers: int, clients: int) -> Iterator[str]:
    """Gives the DSN by which clients reach the server through it. Skips where there is no such program: PGBOUNCER
    names it, or is `none`; else PATH.

    Args:
        mode: `transaction`, `session` or `statement`.
        servers: connections to PostgreSQL at the most.
        clients: connections of clients at the most.
    """
    program = os.environ.get("PGBOUNCER") or shutil.which("pgbouncer")
    if program in (None, "none"):
        pytest.skip("pgbouncer: no program `pgbouncer` on PATH, nor in PGBOUNCER")
    (port,) = free_ports(1)
    server = urlsplit(dsn)
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        _CONFIGURATION.format(
            host=server.hostname,
            server_port=server.port,
            user=server.username,
            port=port,
            mode=mode,
            servers=servers,
            clients=clients,
        )
    )
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen([*as_a_plain_user(), program, configuration], stdout=log, stderr=log)
    try:
        through = f"postgresql://{server.username}@127.0.0.1:{port}/postgres"
        _wait_for(through, process, folder / "pgbouncer.log")
        yield through
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(dsn: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            psycopg.connect(dsn, autocommit=True, prepare_threshold=None).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"PgBouncer does not respond:\n{log.read_text()}")
