"""What loading an application finds, and what it must not leave alive before a fork."""

import shlex
import socket
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from paceline.errors import UsageError
from paceline.serve.arbiter.preload import alive_threads, connections, load_application, load_backends, load_server


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", str(tmp_path)])
    return tmp_path


def test_an_application_may_sit_below_an_attribute(folder: Path) -> None:
    (folder / "nested_app.py").write_text("class api:\n    async def app(scope, receive, send): ...")
    assert load_application("nested_app:api.app").__name__ == "app"


def test_a_missing_package_of_the_application_is_not_a_missing_application(folder: Path) -> None:
    (folder / "half_app.py").write_text("import half_app_driver")
    with pytest.raises(UsageError, match=r"module half_app does not import: ModuleNotFoundError.*half_app.py, line 1"):
        load_application("half_app:app")


def test_a_missing_part_of_the_name_is_named(folder: Path) -> None:
    (folder / "packaged").mkdir()
    (folder / "packaged" / "__init__.py").touch()
    with pytest.raises(UsageError, match=r"no module 'packaged\.nowhere'"):
        load_application("packaged.nowhere:app")


def test_a_long_error_is_cut(folder: Path) -> None:
    (folder / "long_app.py").write_text("raise ValueError('x' * 5000)")
    with pytest.raises(UsageError) as caught:
        load_application("long_app:app")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("call", ["create('x')", 'create("a b")', "create('$HOME')"])
def test_the_command_that_shows_a_whole_error_can_be_pasted_into_a_shell(folder: Path, call: str) -> None:
    (folder / "failing_app.py").write_text("def create(name): raise ValueError(name)")
    with pytest.raises(UsageError) as caught:
        load_application(f"failing_app:{call}")
    command = shlex.split(str(caught.value).partition("see the whole error with: ")[2])
    assert command == ["python", "-c", f"import failing_app as m; m.{call}"]


def test_threads_are_found_by_name() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="poller of the outbox")
    thread.start()
    try:
        assert "poller of the outbox" in alive_threads()
    finally:
        stop.set()
        thread.join()
    assert "poller of the outbox" not in alive_threads()


def test_connected_sockets_are_found_and_listening_ones_are_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        assert f"127.0.0.1:{listener.getsockname()[1]}" in connections()


def test_connections_to_a_unix_socket_are_found_and_pairs_are_not(tmp_path: Path) -> None:
    path = str(tmp_path / "database")
    before = connections()
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        client.connect(path)
        assert sorted({*connections()} - {*before}) == [path]
    one, two = socket.socketpair()
    assert not Counter(connections()) - Counter(before)
    one.close()
    two.close()


def test_what_a_worker_serves_with_is_there_before_the_fork_and_harmless() -> None:
    before = Counter(alive_threads()) + Counter(connections())  # what an earlier test left may go meanwhile
    load_server()
    load_backends()
    parts = {"uvloop", "uvicorn.protocols.websockets.websockets_sansio_impl", "anyio._backends._asyncio"}
    assert parts <= sys.modules.keys()
    assert not Counter(alive_threads()) + Counter(connections()) - before
