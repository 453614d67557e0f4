"""A listening socket that finishes what has begun and begins nothing new."""

import socket
from collections.abc import Iterator

import pytest
from paceline.serve.protocol.listening import refuse_connections


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with socket.socket(request.param) as listener:
        listener.bind(("::1" if request.param == socket.AF_INET6 else "127.0.0.1", 0))
        listener.listen()
        listener.settimeout(30)
        yield listener


def test_who_waits_is_served_and_who_comes_later_sends_nothing(listener: socket.socket) -> None:
    with socket.socket(listener.family) as early, socket.socket(listener.family) as late:
        early.connect(listener.getsockname())
        refuse_connections(listener)
        late.settimeout(0.3)
        with pytest.raises(TimeoutError):
            late.connect(listener.getsockname())
        taken, _ = listener.accept()
        with taken:
            early.sendall(b"ask")
            assert taken.recv(10) == b"ask"
            taken.sendall(b"answer")
            assert early.recv(10) == b"answer"
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_socket_without_filters_is_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    closed = socket.socket()
    closed.close()
    refuse_connections(closed)
    assert not [record for record in caplog.records if record.levelname != "INFO"]
