"""The way from a worker to the pool's process: connections without a name, from processes of the same user only."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from paceline.serve.processes import handover

pytestmark = pytest.mark.invariant

NOBODY = 65534


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    workers, pool = (socket.socket(fileno=descriptor) for descriptor in handover.make())
    with workers, pool:
        yield workers, pool


def test_what_is_handed_over_is_connected(ends: tuple[socket.socket, socket.socket]) -> None:
    workers, pool = ends
    with handover.hand_over(workers) as ours, handover.hand_over(workers) as other:
        first, second = handover.take(pool), handover.take(pool)
        assert first is not None
        assert second is not None
        with first, second:
            ours.sendall(b"one")
            other.sendall(b"two")
            assert (first.recv(9), second.recv(9)) == (b"one", b"two")
            assert not first.get_inheritable()
            ours.close()
            assert first.recv(9) == b"", "the pool sees that the worker hung up"
    with pytest.raises(BlockingIOError):
        handover.take(pool)


def test_neither_end_has_a_name(ends: tuple[socket.socket, socket.socket]) -> None:
    assert [end.getsockname() for end in ends] == ["", ""], "nobody can connect to it, by a file or otherwise"


def test_a_worker_does_not_wait_for_a_pool_that_takes_nothing(ends: tuple[socket.socket, socket.socket]) -> None:
    workers, _ = ends
    with ExitStack() as waiting:

        def hand_over_many() -> None:
            for _ in range(5000):
                waiting.enter_context(handover.hand_over(workers))

        with pytest.raises(BlockingIOError):
            hand_over_many()


def test_the_pool_learns_that_no_worker_is_left(ends: tuple[socket.socket, socket.socket]) -> None:
    workers, pool = ends
    workers.close()
    with pytest.raises(EOFError):
        handover.take(pool)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_a_connection_of_another_user_is_refused(ends: tuple[socket.socket, socket.socket]) -> None:
    workers, pool = ends
    told, tell = os.pipe()
    if not (child := os.fork()):
        os.setuid(NOBODY)
        connection = handover.hand_over(workers)
        os.write(tell, b"x")
        os.write(tell, connection.recv(9) or b"closed")
        os._exit(0)
    os.read(told, 1)
    assert handover.take(pool) is None
    assert os.read(told, 9) == b"closed"
    os.waitpid(child, 0)
    os.close(told)
    os.close(tell)
