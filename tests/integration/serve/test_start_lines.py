"""Start lines under a real pod: sockets of every kind, factories, what is printed instead of starting."""

import http.client
import os
import re
import signal
import socket
import stat
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from serving import Served, eventually, free_ports, pod, serve_command, serving


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.host)


def get(connection: http.client.HTTPConnection, path: str = "/") -> tuple[int, bytes]:
    try:
        connection.request("GET", path, headers={"Host": "t"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def over(family: socket.AddressFamily, address: str, port: int = 0) -> tuple[int, bytes]:
    if family is socket.AF_UNIX:
        return get(UnixConnection(address))
    return get(http.client.HTTPConnection(address, port, timeout=20))


def test_a_line_of_gunicorn_on_three_kinds_of_socket_survives_a_reload_and_leaves_nothing(tmp_path: Path) -> None:
    path, pid_path = tmp_path / "shop.sock", tmp_path / "shop.pid"
    (port,) = free_ports(1)
    options = ["-k", "uvicorn.workers.UvicornWorker", "-w", "1", "-b", f"0.0.0.0:{port}", "-b", f"[::]:{port}"]
    options += [f"--bind=unix:{path}", "--umask", "007", "-p", str(pid_path), "--access-logfile", "-"]
    with pod(tmp_path, "plain:app", *options, "--max-requests", "100") as served:
        assert stat.S_IMODE(path.stat().st_mode) == 0o770
        assert pid_path.read_text() == f"{served.pid}\n"

        def everywhere() -> set[bytes]:
            found = [over(socket.AF_INET, "127.0.0.1", port), over(socket.AF_INET6, "::1", port)]
            found.append(over(socket.AF_UNIX, str(path)))
            assert {status for status, _ in found} == {200}
            return {body for _, body in found}

        before = everywhere()
        os.kill(int(pid_path.read_text()), signal.SIGHUP)
        eventually(lambda: not everywhere() & before, "workers of the new code on all sockets")
        assert f"at http://0.0.0.0:{port}, http://[::]:{port}, unix:{path}" in served.stderr
        assert "--max-requests has no effect" in served.stderr
        assert served.stop() == 0
    assert not path.exists()
    assert not pid_path.exists()


@contextmanager
def inheriting(folder: Path, listener: socket.socket, command: list[str]) -> Iterator[Served]:
    with serving(command, folder, {}, pass_fds=[listener.fileno()]) as served:
        eventually(lambda: served.ended() or served.management("/readyz") == 200, "the pod is ready")
        assert not served.ended(), served.stderr
        yield served


def test_an_inherited_socket_outlives_the_pod_and_can_be_served_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = serve_command("plain:app", "--fd", str(listener.fileno()))
        for number in range(2):
            folder = tmp_path / str(number)
            folder.mkdir()
            with inheriting(folder, listener, command) as served:
                assert over(socket.AF_INET, "127.0.0.1", port)[0] == 200
                assert served.stop() == 0
        listener.settimeout(20)  # workers have made it one that does not block
        waiting = socket.create_connection(("127.0.0.1", port), timeout=20)  # the kernel still takes connections
        listener.accept()[0].close()
        waiting.close()


def test_a_socket_of_systemd_is_served(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        script = f'exec 3<&{listener.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
        script = f"export WEB_CONCURRENCY=auto PACELINE_MAX_WORKERS=1; {script}"
        with inheriting(tmp_path, listener, ["/bin/bash", "-c", script, "bash", *serve_command("plain:app")]):
            assert over(socket.AF_INET, "127.0.0.1", listener.getsockname()[1])[0] == 200


def test_systemd_hears_from_the_first_process_alone_that_the_pod_serves_and_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unit of `Type=notify` hears no other by default, and starts what needs this one once it is ready."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        def told() -> tuple[bytes, int]:
            message, ((_, _, credentials),), *_ = manager.recvmsg(100, socket.CMSG_SPACE(12))
            return message, struct.unpack("3i", credentials)[0]

        with pod(tmp_path, "plain:app", "--workers", "1") as served:
            assert told() == (b"READY=1", served.pid)
            assert over(socket.AF_INET, "127.0.0.1", served.port)[0] == 200
            assert not [each for each in served.descendants() if "NOTIFY_SOCKET" in each.environ()]
            assert served.stop() == 0
        assert told() == (b"STOPPING=1", served.pid)
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(100)


def test_a_socket_as_standard_input_is_served(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        script = f'exec "$@" <&{listener.fileno()}'
        command = ["/bin/bash", "-c", script, "bash", *serve_command("plain:app", "--fd", "0")]
        with inheriting(tmp_path, listener, command):
            assert over(socket.AF_INET, "127.0.0.1", listener.getsockname()[1])[0] == 200


FACTORY = """
def create_app(word):
    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        if scope["path"].endswith("/slow"):
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        body = f"{word} {scope['root_path']} {scope['path']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
    return app
"""


def test_a_line_of_uvicorn_with_a_factory_and_what_responses_carry(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "made.py").write_text(FACTORY)
    options = ["--app-dir", str(tmp_path / "src"), "--root-path", "/api", "--header", "X-Shop: 1", "--no-date-header"]
    options += ["--limit-concurrency", "1", "--lifespan", "off", "--access-log=json", "--server-header"]
    with pod(tmp_path, "made:create_app('shop')", *options) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        connection.request("GET", "/x?token=secret")
        response = connection.getresponse()
        assert response.read() == b"shop /api /api/x"
        assert (response.headers["X-Shop"], response.headers["Server"]) == ("1", "uvicorn")
        assert "Date" not in response.headers
        with socket.create_connection(("127.0.0.1", served.port)) as slow:
            slow.sendall(b"GET /slow HTTP/1.1\r\nHost: t\r\n\r\n")
            eventually(lambda: served.get("/x")[0] == 503, "the limit turns requests away")
        eventually(lambda: served.get("/x")[0] == 200, "room again")
        connection.close()


def _run(tmp_path: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PACELINE_")}
    return subprocess.run(
        [*serve_command("serve")[:-1], *words],
        cwd=tmp_path,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_settings_are_printed_with_their_sources(tmp_path: Path) -> None:
    (tmp_path / "paceline.toml").write_text("app = 'shop:app'\nbacklog = 10")
    done = _run(tmp_path, "-w", "3", "--print-settings", PACELINE_LOG_LEVEL="debug", PORT="5000")
    assert done.returncode == 0, done.stderr
    lines = {line.partition(" = ")[0]: line.partition(" = ")[2].split() for line in done.stdout.splitlines()}
    assert lines["PACELINE_APP"] == ["shop:app"]
    assert lines["PACELINE_WORKERS"] == ["3", "#", "-w"]
    assert lines["PACELINE_LOG_LEVEL"] == ["debug", "#", "environment"]
    assert lines["PACELINE_BACKLOG"] == ["10", "#", "backlog", "in", "paceline.toml"]
    assert lines["PACELINE_BIND"] == ["0.0.0.0:5000", "#", "PORT"]
    assert lines["PACELINE_MAX_WORKERS"] == ["16", "#", "default"]


def test_workers_that_are_counted_are_printed_with_their_number(tmp_path: Path) -> None:
    done = _run(tmp_path, "shop:app", "-w", "auto", "--print-settings")
    assert re.search(r"^PACELINE_WORKERS = auto \(\d+: .*cores.*\) +# -w$", done.stdout, re.M), done.stdout


def test_a_wrong_value_is_named_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "paceline.toml").write_text("backlog = 0")
    done = _run(tmp_path, "shop:app")
    assert done.returncode == 2
    assert done.stderr.startswith("paceline: error: backlog in paceline.toml is wrong: ")
    assert done.stderr.count("\n") == 1


def test_help_and_version(tmp_path: Path) -> None:
    assert "--bind" in _run(tmp_path, "--help").stdout
    assert _run(tmp_path, "--version").stdout.startswith("paceline 0.")
    nothing = _run(tmp_path)
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert "no application is named" in nothing.stderr
