"""Addresses as gunicorn writes them."""

import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline.errors import UsageError
from paceline.serve.binds import Bind, Inherited, Tcp, Unix, check_binds, parse_binds


@pytest.mark.parametrize(
    ("text", "binds"),
    [
        ("127.0.0.1:8000", [Tcp("127.0.0.1", 8000)]),
        (":8000", [Tcp("0.0.0.0", 8000)]),
        ("*:8000", [Tcp("0.0.0.0", 8000)]),
        ("tcp://LOCALHOST:80", [Tcp("localhost", 80)]),
        ("0.0.0.0", [Tcp("0.0.0.0", 8000)]),
        ("[::1]", [Tcp("::1", 8000)]),
        ("[::1]:8000", [Tcp("::1", 8000)]),
        ("[::]:8000", [Tcp("::", 8000)]),
        ("unix:/run/shop.sock", [Unix("/run/shop.sock")]),
        ("unix:///run/shop.sock", [Unix("/run/shop.sock")]),
        ("unix:shop.sock", [Unix("shop.sock")]),
        ("unix:@shop", [Unix("@shop")]),
        ("fd://3", [Inherited(3)]),
        (":8000, [::]:8000,unix:a", [Tcp("0.0.0.0", 8000), Tcp("::", 8000), Unix("a")]),
    ],
)
def test_addresses(text: str, binds: list[Bind]) -> None:
    assert list(parse_binds(text, option="--bind")) == binds


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("8000", "write HOST:PORT, for instance :8000"),
        ("", "HOST:PORT"),
        (":8000,", "HOST:PORT"),
        ("host:0", "HOST:PORT"),
        ("host:65536", "HOST:PORT"),
        ("host:٣", "HOST:PORT"),
        ("::1:8000", r"brackets, such as \[::1\]:8000"),
        ("fd://x", "'x' is no file descriptor"),
        ("fd://-1", "'-1' is no file descriptor"),
        ("unix:", "needs a path"),
        ("unix:/" + "x" * 107, "too long"),
        (":8000,0.0.0.0:8000", "http://0.0.0.0:8000 twice"),
    ],
)
def test_addresses_that_make_no_sense(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=f"--bind .*{says}"):
        parse_binds(text, option="--bind")


@given(st.text(alphabet="unix:/fd*[]@,.019 a", max_size=20))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        binds = parse_binds(text, option="--bind")
    except UsageError:
        return
    assert binds
    assert all(isinstance(bind, (Tcp, Unix, Inherited)) for bind in binds)


def test_a_path_is_free_where_nobody_listens(tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    bind = Unix(str(path))
    check_binds([bind], option="--bind")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        check_binds([bind], option="--bind")  # left from before: nobody takes connections
        listener.listen()
        with pytest.raises(UsageError, match=r"shop.sock: another server does; .*--bind"):
            check_binds([bind], option="--bind")
    check_binds([bind], option="--bind")


@pytest.mark.invariant
def test_a_server_with_a_full_queue_keeps_its_path(tmp_path: Path) -> None:
    path = str(tmp_path / "shop.sock")
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as clients:
        listener.bind(path)
        listener.listen(0)
        with suppress(BlockingIOError):
            for _ in range(100):
                client = clients.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect(path)
        with pytest.raises(UsageError, match=r"shop.sock: another server does; .*--bind"):
            check_binds([Unix(path)], option="--bind")


@pytest.mark.invariant
def test_a_path_of_another_kind_of_socket_is_somebodys(tmp_path: Path) -> None:
    path = str(tmp_path / "log.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(path)
        with pytest.raises(UsageError, match=r"log.sock: protocol wrong type for socket; .*--bind"):
            check_binds([Unix(path)], option="--bind")


def test_paths_that_cannot_be_listened_on(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, says in (("file", "is no socket"), ("nowhere/shop.sock", "folder is not there"), ("file/x", "directory")):
        with pytest.raises(UsageError, match=says):
            check_binds([Unix(str(tmp_path / path))], option="--bind")


def test_descriptors_that_cannot_be_listened_on(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        for number in (file.fileno(), 10_000):
            with pytest.raises(UsageError, match=f"fd://{number} is no socket that this process was given"):
                check_binds([Inherited(number)], option="--bind")
        with pytest.raises(UsageError, match="no stream socket"):
            check_binds([Inherited(datagrams.fileno())], option="--bind")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        check_binds([Inherited(listener.fileno())], option="--bind")
