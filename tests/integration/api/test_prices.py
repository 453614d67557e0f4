"""WS /ws/prices: from a channel of Valkey to many clients of several workers."""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from fastapi import FastAPI
from paceline.local.valkey import valkey
from paceline_api.app import create_app
from paceline_api.prices import CHANNEL
from paceline_api.settings import Settings
from reference_api import changed
from serving import Served, arbiter_command, eventually, free_ports, serving
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.sync.client import ClientConnection, connect

may_block = pytest.mark.may_block  # clients of their own threads, processes; the application is elsewhere
SECONDS = 60.0  # a busy machine takes its time to start a process
STOP_SECONDS = 6.0  # 2 s, on a busy machine
StartPod = Callable[..., Served]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def publisher(valkey_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(valkey_url) as client:
        yield client


@pytest.fixture
def start_pod(settings: Settings, tmp_path: Path, stack: ExitStack) -> StartPod:
    """Workers of the reference API, with the test in the agent's place."""

    def start(workers: int, **environment: object) -> Served:
        given = {
            "DATABASE_URL": settings.postgres.url.get_secret_value(),
            "REDIS_URL": settings.redis.url.get_secret_value(),
            **{name: str(value) for name, value in environment.items()},
        }
        served = stack.enter_context(serving(arbiter_command("paceline_api.app:app"), tmp_path, given))
        served.speak(workers=workers)
        eventually(
            lambda: served.ended() or len(served.ready_workers()) == workers, f"{workers} ready workers", SECONDS
        )
        assert not served.ended(), served.stderr
        return served

    return start


def listener(stack: ExitStack, pod: Served, **options: Any) -> ClientConnection:
    address = f"ws://127.0.0.1:{pod.port}/ws/prices"
    # One that has stopped reading does not see the server's answer to its closing either, and would wait for it.
    return stack.enter_context(connect(address, open_timeout=SECONDS, close_timeout=0.5, **options))


def publish_until(publisher: "redis.Redis", workers: int, message: str) -> None:
    """Publishes once so many workers have subscribed."""
    eventually(
        lambda: publisher.pubsub_numsub(CHANNEL) == [(CHANNEL.encode(), workers)], f"{workers} subscriptions", SECONDS
    )
    assert publisher.publish(CHANNEL, message) == workers


@may_block
def test_all_clients_of_all_workers_hear_each_price_in_order(
    start_pod: StartPod, stack: ExitStack, publisher: "redis.Redis"
) -> None:
    pod = start_pod(2)
    clients = [listener(stack, pod) for _ in range(12)]
    for number in range(20):
        publish_until(publisher, 2, f"price {number}")
    for client in clients:
        assert [client.recv(timeout=SECONDS) for _ in range(20)] == [f"price {number}" for number in range(20)]

    for client in clients:
        client.close()
    nobody = [(CHANNEL.encode(), 0)]
    eventually(lambda: publisher.pubsub_numsub(CHANNEL) == nobody, "nobody listens, nobody subscribes", SECONDS)


@may_block
def test_a_client_that_does_not_read_delays_nobody_and_is_told_what_it_missed(
    start_pod: StartPod, stack: ExitStack, publisher: "redis.Redis"
) -> None:
    pod = start_pod(1, API_PRICES_QUEUE=4)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", pod.port))
    slow = listener(stack, pod, sock=narrow, max_queue=1, max_size=None, compression=None)
    quick = listener(stack, pod, compression=None, max_size=None)
    padding = "x" * 200_000
    for number in range(100):
        publish_until(publisher, 1, f"{number:03d} {padding}")
        assert str(quick.recv(timeout=SECONDS))[:3] == f"{number:03d}", "at once, and none left out"

    heard: list[str] = []
    while not heard or not heard[-1].startswith("099"):
        heard.append(str(slow.recv(timeout=SECONDS)))
    prices = [message for message in heard if not message.startswith("{")]
    told = sum(json.loads(message)["dropped"] for message in heard if message.startswith("{"))
    assert told == 100 - len(prices) > 0


@may_block
def test_retuning_sends_clients_of_a_removed_worker_away_and_leaves_the_others(
    start_pod: StartPod, stack: ExitStack, publisher: "redis.Redis"
) -> None:
    pod = start_pod(2)
    clients = [listener(stack, pod) for _ in range(12)]
    publish_until(publisher, 2, "before")
    assert {client.recv(timeout=SECONDS) for client in clients} == {"before"}

    pod.scale(1, SECONDS)

    publish_until(publisher, 1, "after")
    outcomes = [outcome(client) for client in clients]
    assert set(outcomes) == {"after", CloseCode.SERVICE_RESTART}
    again = listener(stack, pod)
    publisher.publish(CHANNEL, "again")
    assert again.recv(timeout=SECONDS) == "again"
    pod.stop()
    assert outcome(again) == CloseCode.SERVICE_RESTART


def outcome(client: ClientConnection) -> str | int | None:
    """The next message, or the code with which the server closed."""
    try:
        return str(client.recv(timeout=SECONDS))
    except ConnectionClosed as closed:
        return None if closed.rcvd is None else closed.rcvd.code


@may_block
def test_a_restart_of_valkey_interrupts_the_prices_and_nothing_else(start_pod: StartPod, stack: ExitStack) -> None:
    (port,) = free_ports(1)
    with valkey(port=port) as url:
        pod = start_pod(1, REDIS_URL=url)
        client = listener(stack, pod)
        with redis.Redis.from_url(url) as publisher:
            publish_until(publisher, 1, "before")
        assert client.recv(timeout=SECONDS) == "before"
    with valkey(port=port) as url, redis.Redis.from_url(url) as publisher:
        publish_until(publisher, 1, "after")
        assert client.recv(timeout=SECONDS) == "after"


@may_block
def test_one_worker_of_a_pod_makes_prices_up_and_another_when_it_goes(start_pod: StartPod, stack: ExitStack) -> None:
    pod = start_pod(1, API_PRICES_TICKER_SECONDS=0.01)
    assert json.loads(listener(stack, pod).recv(timeout=SECONDS)).keys() == {"symbol", "price_cents"}
    pod.scale(2, SECONDS)
    pod.scale(1, SECONDS)
    assert json.loads(listener(stack, pod).recv(timeout=SECONDS)).keys() == {"symbol", "price_cents"}


def handshake(port: int) -> bytes:
    return (
        f"GET /ws/prices HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


CLOSE_FRAME = b"\x88\x82\0\0\0\0\x03\xe8"


def leave_before_the_answer(client: socket.socket) -> None:
    client.close()


def leave_at_once(client: socket.socket) -> None:
    client.recv(1)
    client.close()


def reset_at_once(client: socket.socket) -> None:
    client.recv(1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()


def say_goodbye_with_the_handshake(client: socket.socket) -> None:
    client.sendall(CLOSE_FRAME)
    client.recv(1)
    client.close()


def say_goodbye_and_stay(client: socket.socket) -> None:
    client.recv(1)
    client.sendall(CLOSE_FRAME)


@may_block
@pytest.mark.invariant
@pytest.mark.parametrize(
    "leave",
    [leave_before_the_answer, leave_at_once, reset_at_once, say_goodbye_with_the_handshake, say_goodbye_and_stay],
)
def test_clients_that_leave_at_once_leave_nothing_behind(
    start_pod: StartPod, stack: ExitStack, publisher: "redis.Redis", leave: Callable[[socket.socket], None]
) -> None:
    pod = start_pod(1)
    for _ in range(20):
        client = stack.enter_context(socket.create_connection(("127.0.0.1", pod.port), SECONDS))
        client.sendall(handshake(pod.port))
        leave(client)
    nobody = [(CHANNEL.encode(), 0)]
    eventually(lambda: publisher.pubsub_numsub(CHANNEL) == nobody, "nobody listens, nobody subscribes", SECONDS)

    stays = listener(stack, pod)
    publish_until(publisher, 1, "after")
    assert stays.recv(timeout=SECONDS) == "after"
    stays.close()
    eventually(lambda: publisher.pubsub_numsub(CHANNEL) == nobody, "nobody listens, nobody subscribes", SECONDS)
    eventually(lambda: pod.reports()[0]["inFlight"] == 0, "no handler runs on", SECONDS)

    started = time.monotonic()
    pod.stop()
    assert time.monotonic() - started < STOP_SECONDS, pod.stderr
    assert "MaxConnectionsError" not in pod.stderr
    assert "Traceback" not in pod.stderr, pod.stderr


@may_block
def test_a_worker_that_has_enough_clients_says_so(start_pod: StartPod, stack: ExitStack) -> None:
    pod = start_pod(1, API_PRICES_CLIENTS=1)
    listener(stack, pod)
    assert outcome(listener(stack, pod)) == CloseCode.TRY_AGAIN_LATER


async def test_it_blocks_nobody(settings: Settings) -> None:
    """In this process, where a blocking call would raise."""
    app = create_app(changed(settings, "prices", queue=8))
    async with app.router.lifespan_context(app) as state:
        sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        leave = asyncio.Event()
        talking = asyncio.create_task(talk(app, dict(state or {}), sent, leave))
        assert (await sent.get())["type"] == "websocket.accept"
        await published(settings.redis.url.get_secret_value(), "here")
        assert (await sent.get())["text"] == "here"
        leave.set()
        await talking


async def published(url: str, message: str) -> None:
    """Returns once somebody has heard it."""
    async with redis.asyncio.Redis.from_url(url, driver_info=None) as publisher:
        for _ in range(1000):
            if await publisher.publish(CHANNEL, message):
                return
            await asyncio.sleep(0.02)
    pytest.fail("nobody has subscribed within 20 s")


async def talk(
    app: FastAPI, state: dict[str, Any], sent: "asyncio.Queue[dict[str, Any]]", leave: asyncio.Event
) -> None:
    """What a server does for one client, that leaves when it is told to."""
    events = iter([{"type": "websocket.connect"}])

    async def receive() -> dict[str, Any]:
        for event in events:
            return event
        await leave.wait()
        return {"type": "websocket.disconnect", "code": 1001}

    scope = {"type": "websocket", "path": "/ws/prices", "headers": [], "query_string": b"", "state": state}
    await app(scope, receive, sent.put)  # type: ignore[arg-type]
