"""The sockets that a pod listens on."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paceline.errors import UsageError
from paceline.serve.addresses import family_of
from paceline.serve.arbiter.listeners import Sockets, listen
from paceline.serve.binds import Bind, Inherited, Tcp, Unix
from serving import free_ports


@contextmanager
def listening(*binds: Bind, umask: int = 0) -> Iterator[Sockets]:
    sockets = listen(binds, backlog=16, umask=umask)
    try:
        yield sockets
    finally:
        for descriptor in sockets.descriptors:
            os.close(descriptor)
        sockets.remove_paths()


def test_both_families_may_have_the_same_port() -> None:
    (port,) = free_ports(1)
    with listening(Tcp("0.0.0.0", port), Tcp("::", port)) as sockets:
        assert len(sockets.descriptors) == 2
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port)).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("turned", [False, True])
def test_one_address_of_ipv4_and_all_of_ipv6_may_have_the_same_port(host: str, turned: bool) -> None:
    (port,) = free_ports(1)
    binds = [Tcp("::", port), Tcp(host, port)]
    with listening(*(reversed(binds) if turned else binds)) as sockets:
        assert len(sockets.descriptors) == 2
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, port)).close()


@pytest.mark.parametrize("turned", [False, True])
def test_a_name_of_both_families_is_listened_to_on_ipv4(monkeypatch: pytest.MonkeyPatch, turned: bool) -> None:
    port = 8000
    found = [(socket.AF_INET6, 1, 6, "", ("::1", port, 0, 0)), (socket.AF_INET, 1, 6, "", ("127.0.0.1", port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found[::-1] if turned else found)
    assert family_of("both.test", port) == socket.AF_INET
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found[:1])
    assert family_of("six.test", port) == socket.AF_INET6


def test_all_of_ipv6_is_ipv4_too_where_that_has_no_address_of_its_own() -> None:
    (port,) = free_ports(1)
    with listening(Tcp("::", port)):
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port)).close()


@pytest.mark.parametrize(("umask", "mode"), [(0, 0o777), (0o007, 0o770), (0o177, 0o600)])
def test_a_unix_socket_has_the_permissions_that_gunicorn_gives_it(tmp_path: Path, umask: int, mode: int) -> None:
    path = tmp_path / "shop.sock"
    before = os.umask(0o022)
    try:
        with listening(Unix(str(path)), umask=umask):
            assert stat.S_IMODE(path.stat().st_mode) == mode
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert not path.exists()


def test_a_path_that_is_left_is_replaced_and_one_that_was_replaced_is_left(tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with listening(Unix(str(path))):
        path.rename(tmp_path / "moved")  # so that its inode is not used again
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
    assert path.exists()


def test_a_name_without_a_file(tmp_path: Path) -> None:
    name = f"@{tmp_path}"
    with listening(Unix(name)) as sockets, socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{tmp_path}")
        assert sockets.paths == ()


def test_an_inherited_socket_is_taken_as_it_is_or_listens_from_now_on() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with listening(Inherited(os.dup(bound.fileno()))):
            socket.create_connection(bound.getsockname()).close()


def test_what_cannot_be_listened_on_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on http://127.0.0.1:{port}: .*in use"):
            listen([Unix(str(path)), Tcp("127.0.0.1", port)], backlog=16, umask=0)
    assert not path.exists()
