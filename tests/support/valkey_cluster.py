"""A Valkey cluster of a few primaries on loopback ports, for tests."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

from paceline.local.server_process import free_port
from paceline.local.valkey import valkey
from redis import Redis

SLOTS = 16384
READY_SECONDS = 30.0


@contextmanager
def valkey_cluster(nodes: int) -> Iterator[list[str]]:
    """Gives the URLs of its nodes, each of which owns an equal share of the slots. Blocking."""
    with ExitStack() as stack:
        urls = []
        for _ in range(nodes):
            # Not the default, which is 10,000 higher: above the range of ports for some that are free.
            options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
            urls.append(stack.enter_context(valkey(None, *options)))
        with ExitStack() as assembling:
            clients = [assembling.enter_context(Redis.from_url(url)) for url in urls]
            _assign(clients)
            _meet(urls, clients)
        yield urls


def move_slot(source: Redis, target: Redis, slot: int) -> None:
    """Gives a slot without keys to another node."""
    owner = target.execute_command("CLUSTER MYID")
    for client in (target, source):
        client.execute_command("CLUSTER SETSLOT", slot, "NODE", owner)


def _assign(clients: list[Redis]) -> None:
    for number, client in enumerate(clients):
        first, last = number * SLOTS // len(clients), (number + 1) * SLOTS // len(clients) - 1
        client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
        client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)


def _meet(urls: list[str], clients: list[Redis]) -> None:
    buses = [client.config_get("cluster-port")["cluster-port"] for client in clients]
    for url, bus in zip(urls[1:], buses[1:], strict=True):
        clients[0].execute_command("CLUSTER MEET", "127.0.0.1", urlsplit(url).port, bus)
    deadline = time.monotonic() + READY_SECONDS
    while not all(_ready(client, len(clients)) for client in clients):
        assert time.monotonic() < deadline, "the cluster did not form"
        time.sleep(0.05)


def _ready(client: Redis, nodes: int) -> bool:
    information = client.execute_command("CLUSTER INFO")
    shards = client.execute_command("CLUSTER SLOTS")
    return information["cluster_state"] == "ok" and len(shards) == nodes
