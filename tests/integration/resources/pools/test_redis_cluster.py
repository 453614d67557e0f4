"""`tune.pool` on real clients of a real Valkey cluster: what its nodes count together, while limit and nodes change."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis.exceptions
from paceline import tune
from paceline.document.model import Values
from paceline.errors import AcquireTimeout, PoolError
from paceline.resources.pools import redis_cluster
from paceline.serve.worker.unregistered import inodes
from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from valkey_cluster import move_slot, valkey_cluster

TRANSACTIONS = hasattr(ClusterNode, "release")
PUBSUB = hasattr(RedisCluster, "pubsub")
KEYS = [f"key:{number}" for number in range(30)]


@pytest.fixture(scope="module", params=[1, 3], ids=["one node", "three nodes"])
def cluster(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    with valkey_cluster(request.param) as urls:
        yield urls


@pytest.fixture(scope="module")
def three_nodes() -> Iterator[list[str]]:
    with valkey_cluster(3) as urls:
        yield urls


def open_client(urls: list[str], **options: Any) -> Any:
    return RedisCluster.from_url(urls[0], **{"max_connections": 40, **options})


@pytest.fixture
async def client(cluster: list[str]) -> AsyncIterator[Any]:
    client = open_client(cluster)
    yield client
    await client.aclose()


class Monitor:
    """Counts the connections that all nodes see together, but for its own."""

    def __init__(self, clients: list[Redis]) -> None:
        self.clients = clients

    async def count(self) -> int:
        # Nodes are asked one after another: only what was there in two rounds was open at one time, between them.
        return len(await self._look() & await self._look())

    async def _look(self) -> set[tuple[int, str]]:
        lists = await asyncio.gather(*(client.client_list() for client in self.clients))
        return {(node, each["id"]) for node, listed in enumerate(lists) for each in listed if each["name"] != "monitor"}

    async def kill_all(self) -> None:
        for client in self.clients:
            await client.client_kill_filter(skipme=True, _type="normal")


@pytest.fixture
async def monitor(cluster: list[str]) -> AsyncIterator[Monitor]:
    async with contextlib.AsyncExitStack() as stack:
        yield Monitor([await stack.enter_async_context(Redis.from_url(url, client_name="monitor")) for url in cluster])


def report(tunables: tune.Tunables) -> dict[str, Any]:
    pool: dict[str, Any] = tunables.report()["pools"]["redis"]
    return pool


async def settle(tunables: tune.Tunables, monitor: Monitor, eventually: Any, number: int) -> None:
    async def settled() -> bool:
        pool = report(tunables)
        return bool(pool["inUse"] == 0 and pool["open"] == await monitor.count() == number)

    await eventually(settled, f"{number} connections and no permit out")


async def fill(client: Any, number: int) -> None:
    """Leaves that many connections idle, or as many as the limit allows."""
    await client.initialize()
    await asyncio.gather(*(client.blpop([f"nothing:{each}"], 0.3) for each in range(number)))


@pytest.mark.invariant
async def test_the_servers_see_exactly_the_limit_while_it_moves(
    client: Any, monitor: Monitor, tunables: tune.Tunables, drive: Any
) -> None:
    assert tune.pool(client, name="redis", limit=5, tunables=tunables) is client
    assert isinstance(client, RedisCluster)
    await client.initialize()  # redis-py asks just any node for a key that is used before
    used = iter(range(1_000_000))

    async def use() -> None:
        key = KEYS[next(used) % len(KEYS)]
        await client.blpop([f"{{{key}}}:nothing"], 0.05)
        pipeline = client.pipeline()
        assert len(await pipeline.incr(key).get(key).execute()) == 2

    if len(monitor.clients) > 1:
        await never_more_than_the_limit(tunables, use, monitor)
        return
    after = await drive(tunables, "redis", use, monitor.count)
    assert len(inodes(tunables.sockets())) == after["open"] == 30


async def never_more_than_the_limit(tunables: tune.Tunables, use: Any, monitor: Monitor) -> None:
    """Several nodes have no moment in which all are counted exactly: see `Monitor.count`."""
    for limit in (3, 10, 1):
        tunables.apply(Values(pools={"redis": limit}))
        await asyncio.gather(*(use() for _ in range(30)))  # what a shrink made too many is gone after it
        load = asyncio.gather(*(use() for _ in range(60)))
        seen = [await monitor.count()]
        while not load.done():
            seen.append(await monitor.count())
        await load
        assert max(seen) <= limit
        assert max(seen) > limit // 2


@pytest.mark.invariant
async def test_a_command_for_all_nodes_keeps_to_the_limit(
    client: Any, monitor: Monitor, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(client, name="redis", limit=1, tunables=tunables)
    await client.initialize()
    await asyncio.gather(*(client.ping(target_nodes=RedisCluster.ALL_NODES) for _ in range(5)))
    await settle(tunables, monitor, eventually, 1)


async def test_a_client_that_is_connected_already_is_taken_over(
    client: Any, monitor: Monitor, tunables: tune.Tunables, eventually: Any
) -> None:
    await fill(client, 12)
    before = await monitor.count()
    assert before >= 12
    tune.pool(client, name="redis", limit=2, tunables=tunables)
    await settle(tunables, monitor, eventually, 2)
    await fill(client, 12)
    await settle(tunables, monitor, eventually, 2)


async def test_an_idle_pool_is_trimmed_at_once(
    client: Any, monitor: Monitor, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(client, name="redis", limit=8, tunables=tunables)
    await fill(client, 24)
    await settle(tunables, monitor, eventually, 8)
    tunables.apply(Values(pools={"redis": 2}))
    assert report(tunables)["open"] == 8, "closing connections are still open to the server"
    await settle(tunables, monitor, eventually, 2)
    tunables.apply(Values(pools={"redis": 1}))
    tunables.apply(Values(pools={"redis": 9}))
    await fill(client, 24)
    await settle(tunables, monitor, eventually, 9)


async def test_killed_connections_leak_no_permit(
    client: Any, monitor: Monitor, tunables: tune.Tunables, eventually: Any
) -> None:
    if not TRANSACTIONS and len(monitor.clients) == 1:
        pytest.skip("lowest: this redis-py never comes back to its only node")
    tune.pool(client, name="redis", limit=2, tunables=tunables)

    async def back() -> bool:
        """The lowest version meets one dead connection after another, and gives up where all nodes had one."""
        with contextlib.suppress(redis.exceptions.ConnectionError, redis.exceptions.RedisClusterException):
            await client.ping(target_nodes=RedisCluster.ALL_NODES)
            await client.set(KEYS[0], b"v")
            return True
        return False

    for _ in range(5):
        await eventually(back, "the client has connected again")
        await monitor.kill_all()
        with contextlib.suppress(redis.exceptions.ConnectionError, redis.exceptions.RedisClusterException):
            await client.set(KEYS[0], b"v")
    await eventually(back, "the client has connected again")
    assert await asyncio.gather(*(client.get(KEYS[0]) for _ in range(20))) == [b"v"] * 20

    async def settled() -> bool:
        return report(tunables)["inUse"] == 0 and await monitor.count() <= 2

    await eventually(settled, "all permits back")


async def test_an_unreachable_cluster_leaks_no_permit(tunables: tune.Tunables) -> None:
    client = tune.pool(open_client(["redis://127.0.0.1:1"]), name="redis", limit=2, tunables=tunables)
    for _ in range(3):
        with pytest.raises(redis.exceptions.RedisClusterException):
            await client.get("k")
    assert (report(tunables)["inUse"], report(tunables)["open"]) == (0, 0)
    await client.aclose()


@pytest.mark.invariant
@pytest.mark.parametrize("pipelined", [False, True], ids=["commands", "pipelines"])
async def test_cancelled_commands_leak_nothing(
    client: Any, monitor: Monitor, tunables: tune.Tunables, eventually: Any, pipelined: bool
) -> None:
    tune.pool(client, name="redis", limit=3, tunables=tunables)
    await client.initialize()

    async def use(key: str) -> None:
        if pipelined:
            await client.pipeline().incr(key).get(key).execute()
        else:
            await client.incr(key)

    tasks = []
    for moment in range(150):
        tasks.append(task := asyncio.ensure_future(use(KEYS[moment % len(KEYS)])))
        for _ in range(moment % 30):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    async def settled() -> bool:
        pool = report(tunables)
        return bool(pool["inUse"] == 0 and pool["waiting"] == 0 and pool["open"] == await monitor.count() <= 3)

    await eventually(settled, "all permits back")
    await fill(client, 12)
    await settle(tunables, monitor, eventually, 3)


async def test_who_waits_too_long_is_told_so_and_no_node_is_given_up(
    client: Any, tunables: tune.Tunables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_cluster, "DEFAULT_TIMEOUT_SECONDS", 0.05)
    tune.pool(client, name="redis", limit=1, tunables=tunables)
    await client.initialize()
    nodes = client.get_nodes()
    blocking = asyncio.create_task(client.blpop(["nothing"], 1))
    while not report(tunables)["inUse"]:  # noqa: ASYNC110 - the limiter tells nobody
        await asyncio.sleep(0)
    with pytest.raises(redis.exceptions.MaxConnectionsError, match="no connection became free") as caught:
        await client.get("k")
    assert isinstance(caught.value, AcquireTimeout)
    assert await blocking is None
    assert all(found is node for found, node in zip(client.get_nodes(), nodes, strict=True))
    await client.aclose()


@pytest.mark.skipif(not TRANSACTIONS, reason="lowest: this redis-py has no transactions of a cluster")
@pytest.mark.invariant
async def test_a_transaction_keeps_to_the_limit(
    client: Any, monitor: Monitor, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(client, name="redis", limit=2, tunables=tunables)
    await client.initialize()
    highest = 0

    async def transact(key: str) -> None:
        nonlocal highest
        async with client.pipeline(transaction=True) as pipeline:
            await pipeline.watch(key)
            await asyncio.sleep(0.01)
            highest = max(highest, await monitor.count())
            pipeline.multi()
            await pipeline.set(key, 1).incr(key).execute()

    await asyncio.gather(*(transact(key) for key in KEYS[:12]))
    assert highest == 2
    await settle(tunables, monitor, eventually, 2)
    assert await client.get(KEYS[0]) == b"2"


@pytest.mark.skipif(not TRANSACTIONS, reason="lowest: this redis-py has no transactions of a cluster")
async def test_a_transaction_that_waits_for_itself_ends(
    client: Any, tunables: tune.Tunables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_cluster, "DEFAULT_TIMEOUT_SECONDS", 0.2)
    tune.pool(client, name="redis", limit=1, tunables=tunables)
    await client.initialize()
    async with client.pipeline(transaction=True) as first:
        await first.watch("k")
        with pytest.raises(AcquireTimeout):
            await client.get("k")
        with pytest.raises(AcquireTimeout):
            async with client.pipeline(transaction=True) as second:
                await second.watch("k")
        client._initialize = True  # as after an error: the transaction's thread asks for the nodes anew
        with pytest.raises(redis.exceptions.RedisClusterException) as caught:
            await first.get("k")
        assert isinstance(caught.value.__cause__, AcquireTimeout)
    assert report(tunables)["inUse"] == 0
    assert await client.ping(target_nodes=RedisCluster.PRIMARIES)


@pytest.mark.skipif(not PUBSUB, reason="lowest: this redis-py has no subscriptions to a cluster")
@pytest.mark.invariant
async def test_a_subscriber_holds_its_connection(
    client: Any, monitor: Monitor, tunables: tune.Tunables, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_cluster, "DEFAULT_TIMEOUT_SECONDS", 0.2)
    tune.pool(client, name="redis", limit=2, tunables=tunables)
    await client.initialize()
    async with client.pubsub() as one, client.pubsub() as two, client.pubsub() as three:
        await one.subscribe("news")
        await two.ssubscribe("shard")
        assert report(tunables)["inUse"] == 2
        with pytest.raises(AcquireTimeout):
            await three.subscribe("news")
        with pytest.raises(AcquireTimeout):
            await client.get("k")
        assert await monitor.count() == 2
    await settle(tunables, monitor, eventually, 0)
    async with client.pubsub() as subscriber:
        await subscriber.subscribe("news")
        assert (await subscriber.get_message(timeout=30))["type"] == "subscribe"
        await client.execute_command("PUBLISH", "news", "hello")
        assert (await subscriber.get_message(timeout=30))["data"] == b"hello"
    assert report(tunables)["inUse"] == 0


@pytest.mark.invariant
async def test_nodes_that_are_found_later_are_limited_too(
    three_nodes: list[str], tunables: tune.Tunables, eventually: Any
) -> None:
    client = tune.pool(open_client(three_nodes), name="redis", limit=2, tunables=tunables)
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Redis.from_url(url, client_name="monitor")) for url in three_nodes]
        monitor = Monitor(clients)
        for _ in range(3):
            await fill(client, 12)
            assert await monitor.count() <= 2
            await client.nodes_manager.initialize()  # as after a redirection
            assert all(hasattr(type(node), "execute_pipeline") for node in client.get_nodes())
        await fill(client, 12)
        await settle(tunables, monitor, eventually, 2)
    await client.aclose()


@pytest.mark.invariant
async def test_a_slot_that_moves_is_followed_within_the_limit(
    three_nodes: list[str], tunables: tune.Tunables, eventually: Any
) -> None:
    # With its default of 5 redirections redis-py closes the connections that other commands are using: without a limit,
    # too, some of them fail then.
    following = open_client(three_nodes, reinitialize_steps=100)
    client = tune.pool(following, name="redis", limit=2, tunables=tunables)
    await client.initialize()
    slot = client.keyslot("moving")
    owner = client.get_node_from_key("moving")
    other = next(node for node in client.get_primaries() if node.name != owner.name)
    with redis.Redis(port=owner.port) as source, redis.Redis(port=other.port) as target:
        move_slot(source, target, slot)
        assert await asyncio.gather(*(client.get("moving") for _ in range(8))) == [None] * 8
        move_slot(target, source, slot)
    assert await asyncio.gather(*(client.get("moving") for _ in range(8))) == [None] * 8
    assert report(tunables)["inUse"] == 0
    assert report(tunables)["open"] <= 2
    await client.aclose()


@pytest.mark.invariant
async def test_a_node_made_by_hand_is_refused(client: Any, tunables: tune.Tunables) -> None:
    tune.pool(client, name="redis", limit=2, tunables=tunables)
    await client.initialize()
    made = ClusterNode("127.0.0.1", client.get_nodes()[0].port, **client.nodes_manager.connection_kwargs)
    with pytest.raises((PoolError, redis.exceptions.ConnectionError), match="take nodes from client"):
        await client.ping(target_nodes=made)
    assert report(tunables)["inUse"] == 0


async def test_a_closed_client_frees_its_name_and_may_be_used_again(
    cluster: list[str], monitor: Monitor, tunables: tune.Tunables, eventually: Any
) -> None:
    tunables.serving = True
    client = tune.pool(open_client(cluster), name="redis", limit=3, tunables=tunables)
    await fill(client, 6)
    await client.aclose()
    await settle(tunables, monitor, eventually, 0)
    assert await client.set("k", 1)
    with pytest.raises(PoolError, match="'redis' is registered twice"):
        tune.pool(open_client(cluster), name="redis", limit=4, tunables=tunables)
    await client.aclose()
    unused = tune.pool(open_client(cluster), name="redis", limit=4, tunables=tunables)
    await unused.aclose()
    successor = tune.pool(open_client(cluster), name="redis", limit=5, tunables=tunables)
    assert report(tunables)["limit"] == 5
    await successor.aclose()


def test_one_client_may_serve_loop_after_loop(cluster: list[str], tunables: tune.Tunables) -> None:
    client = tune.pool(open_client(cluster), name="redis", limit=2, tunables=tunables)

    async def use() -> None:
        async with asyncio.timeout(30):
            await fill(client, 6)
        await client.aclose()

    for _ in range(3):
        asyncio.run(use())
    assert (report(tunables)["inUse"], report(tunables)["open"]) == (0, 0)


def test_what_cannot_be_limited_as_asked_is_refused(cluster: list[str], tunables: tune.Tunables) -> None:
    with pytest.raises(PoolError, match=r"limit 41 is above .* raise max_connections \(now 40\)"):
        tune.pool(open_client(cluster), name="redis", limit=41, tunables=tunables)
    with pytest.raises(PoolError, match="limit must be at least 1"):
        tune.pool(open_client(cluster), name="redis", limit=0, tunables=tunables)
    own = type("Own", (ClusterNode,), {"__slots__": (), "acquire_connection": lambda node: node})
    client = open_client(cluster)
    for node in client.nodes_manager.startup_nodes.values():
        node.__class__ = own
    with pytest.raises(PoolError, match="overrides acquire_connection"):
        tune.pool(client, name="redis", limit=1, tunables=tunables)
    assert inspect.iscoroutinefunction(ClusterNode.execute_command)
