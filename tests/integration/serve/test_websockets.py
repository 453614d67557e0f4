"""WebSockets under `paceline serve`: served, and told to come back elsewhere when their worker or their pod goes."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from serving import StartArbiter, StartPod, eventually
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.sync.client import ClientConnection, connect


class Sockets:
    """Open connections by the pid of the worker that greeted them."""

    def __init__(self, port: int, count: int, stack: ExitStack) -> None:
        self._port, self._stack = port, stack
        self.opened = [self.open() for _ in range(count)]

    def open(self) -> tuple[int, ClientConnection]:
        connection = self._stack.enter_context(connect(f"ws://127.0.0.1:{self._port}/", open_timeout=30))
        return int(connection.recv(timeout=30)), connection

    @property
    def workers(self) -> Counter[int]:
        return Counter(pid for pid, _ in self.opened)

    def of(self, pid: int) -> list[ClientConnection]:
        return [connection for owner, connection in self.opened if owner == pid]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def answers(connection: ClientConnection) -> bool:
    connection.send("still there?")
    return connection.recv(timeout=30) == "still there?"


def close_code(connection: ClientConnection) -> int | None:
    """With which code the server closed; None if the connection just broke."""
    with pytest.raises(ConnectionClosed) as closed:
        connection.recv(timeout=30)
    return None if closed.value.rcvd is None else closed.value.rcvd.code


def test_sockets_of_a_removed_worker_are_told_to_reconnect_and_the_others_stay(
    start_arbiter: StartArbiter, stack: ExitStack
) -> None:
    pod = start_arbiter("echoing:app", workers=3)
    sockets = Sockets(pod.port, 24, stack)
    assert len(sockets.workers) == 3, "every worker has some"

    pod.scale(1)

    (left,) = pod.ready_workers()
    for pid in sockets.workers:
        for connection in sockets.of(pid):
            if pid == left:
                assert answers(connection)
            else:
                assert close_code(connection) == CloseCode.SERVICE_RESTART
    assert sockets.open()[0] == left, "who comes back is served"


def test_sockets_survive_workers_that_are_added(start_arbiter: StartArbiter, stack: ExitStack) -> None:
    pod = start_arbiter("echoing:app")
    sockets = Sockets(pod.port, 8, stack)
    for count in (3, 2):
        pod.scale(count)
    # The oldest goes first: all sockets were its own.
    assert {close_code(connection) for _, connection in sockets.opened} == {CloseCode.SERVICE_RESTART}
    assert answers(sockets.open()[1])


def test_the_end_of_a_pod_closes_all_sockets_cleanly(start_pod: StartPod, stack: ExitStack) -> None:
    pod = start_pod("echoing:app", workers=2)
    sockets = Sockets(pod.port, 8, stack)

    assert pod.stop() == 0

    assert {close_code(connection) for _, connection in sockets.opened} == {CloseCode.SERVICE_RESTART}


def test_sockets_are_no_requests(start_pod: StartPod, stack: ExitStack) -> None:
    pod = start_pod("echoing:app")
    sockets = Sockets(pod.port, 3, stack)
    assert all(answers(connection) for _, connection in sockets.opened)

    eventually(lambda: pod.state()["workers"], "a report")
    assert pod.state()["workers"][0]["inFlight"] == 0
    assert pod.state()["requests"] == []
    eventually(lambda: pod.state()["workers"][0]["webSockets"] == 3, "and are counted while they are open")
    stack.close()
    eventually(lambda: pod.state()["workers"][0]["webSockets"] == 0, "no longer")
