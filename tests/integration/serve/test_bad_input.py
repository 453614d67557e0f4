"""What cannot be served is said in one line that names it, with an exit status other than 0."""

import signal
import socket
from pathlib import Path

import pytest
from serving import eventually, serve_command, serving

BROKEN = {
    "raises.py": "raise RuntimeError('DSN is\\nnot set')",
    "unparsable.py": "def (",
    "needs.py": "import nosuchdriver",
    "quits.py": "import sys; sys.exit('set SECRET')",
    "good.py": "app = 1\ndef wsgi(environ, start_response): ...",
}


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    for name, content in BROKEN.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def _refused(folder: Path, target: str, *options: str, **environment: str) -> tuple[int, list[str]]:
    with serving(serve_command(target, *options), folder, environment, application_folder=folder) as served:
        status = served.process.wait(30)
        return status, served.stderr.splitlines()


@pytest.mark.parametrize(
    ("target", "says"),
    [
        pytest.param("raises:app", "RuntimeError: DSN is not set", id="module raises"),
        pytest.param("unparsable:app", "SyntaxError", id="module does not parse"),
        pytest.param("needs:app", "No module named 'nosuchdriver'", id="module needs what is not installed"),
        pytest.param("quits:app", "set SECRET", id="module quits"),
        pytest.param("nowhere:app", "no module 'nowhere'", id="no such module"),
        pytest.param("good:nope", "no attribute 'nope'", id="no such attribute"),
        pytest.param("good:app", "int cannot be called", id="not callable"),
        pytest.param("good:wsgi", "WSGI", id="not ASGI"),
        pytest.param("good", "no attribute 'application'", id="no attribute named"),
        pytest.param("../good.py:app", "write MODULE:APP", id="a path instead of a module"),
    ],
)
@pytest.mark.parametrize("preload", ["--preload", "--no-preload"])
def test_an_application_that_does_not_load(broken: Path, target: str, says: str, preload: str) -> None:
    status, lines = _refused(broken, target, preload, PACELINE_WORKERS="2")
    assert status == 2
    assert len(lines) == 1, lines
    assert says in lines[0]
    assert target.partition(":")[0] in lines[0]


@pytest.mark.parametrize("option", ["--bind", "--management-bind"])
def test_a_port_in_use(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, lines = _refused(tmp_path, "plain:app", option, f"127.0.0.1:{port}")
    assert status == 2
    assert len(lines) == 1
    assert f"port {port}" in lines[0]
    assert option in lines[0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--bind", "8000"], "HOST:PORT"),
        (["--bind", "127.0.0.1:0"], "HOST:PORT"),
        (["--bind", "nosuchhost.invalid:8000"], "nosuchhost.invalid"),
        (["--workers", "0"], "--workers"),
        (["--workers", "some"], "neither a number from 1 on nor `auto`"),
        (["--workers", "99"], "PACELINE_MAX_WORKERS"),
        (["--run-dir", "/proc/none"], "--run-dir"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_an_option_that_makes_no_sense(tmp_path: Path, options: list[str], says: str) -> None:
    status, lines = _refused(tmp_path, "plain:app", *options)
    assert status == 2
    assert len(lines) == 1
    assert says in lines[0]


def test_a_variable_that_makes_no_sense(tmp_path: Path) -> None:
    status, lines = _refused(tmp_path, "plain:app", PACELINE_KEEPALIVE_SECONDS="soon")
    assert status == 2
    assert len(lines) == 1
    assert "PACELINE_KEEPALIVE_SECONDS" in lines[0]
    assert "'soon'" in lines[0]


def test_a_run_folder_in_use(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with serving(serve_command("plain:app"), first, {}) as served:
        eventually(lambda: served.management("/readyz") == 200, "the first is ready")
        status, lines = _refused(second, "plain:app", "--run-dir", str(served.run.path))
        assert served.get()[0] == 200
        assert served.stop(signal.SIGTERM) == 0
    assert status == 2
    assert len(lines) == 1
    assert "belongs to a running" in lines[0]


def test_an_application_whose_start_up_fails_ends_the_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fails").touch()
    environment = {"START_FAILS": str(tmp_path / "fails"), "LIFE_NOTES": str(tmp_path)}
    with serving(serve_command("lifecycle:app"), tmp_path, environment) as served:
        assert served.process.wait(30) == 1
        assert "the database is away" in served.stderr


@pytest.mark.parametrize("variable", ["FORWARDED_ALLOW_IPS", "PACELINE_TRUSTED_PROXIES"])
def test_a_trusted_proxy_without_an_address(tmp_path: Path, variable: str) -> None:
    status, lines = _refused(tmp_path, "plain:app", **{variable: "127.0.0.1,ingress"})
    assert (status, len(lines)) == (2, 1)
    assert f"{variable} is wrong: 'ingress' is neither an address nor a network" in lines[0]


def test_networks_may_be_trusted_under_the_name_that_other_servers_know(tmp_path: Path) -> None:
    with serving(serve_command("plain:app"), tmp_path, {"FORWARDED_ALLOW_IPS": "10.0.0.7/8, ,127.0.0.1,"}) as served:
        eventually(lambda: served.management("/readyz") == 200, "the pod is ready")
