"""Limits a `redis.asyncio.cluster.RedisCluster` that exists already. What it relies on: redis_cluster_driver.py.

redis-py is imported only when an object of it was handed over.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from time import monotonic
from typing import Any, Final

from paceline.errors import AcquireTimeout, PoolError
from paceline.resources.pools.driver import verify
from paceline.resources.pools.limited_pool import LimitedPool, loop_runs, put_in_front
from paceline.resources.pools.redis import DEFAULT_TIMEOUT_SECONDS
from paceline.resources.pools.redis_cluster_driver import CLIENT, CONNECTION, MANAGER, NODE
from paceline.resources.pools.redis_cluster_sockets import Sockets

_OWNER: Final = "_paceline_node"
"""Attribute of a connection that a limited node made."""


@dataclass(slots=True, eq=False)
class _Permit:
    """For one connection, from the moment it is taken from its node until it is back."""

    of_command: bool
    """Comes back with its command; that of a transaction or a subscriber with `release`."""
    granted: float | None = None
    deadline: float = 0.0
    """Until when it may be waited for, if it was not granted at once."""
    connection: Any = None


_COMMAND: ContextVar[_Permit | None] = ContextVar("paceline_command", default=None)


class RedisClusterPool(LimitedPool):
    """One limit for the client, whatever nodes its cluster has, and however they change.

    A command or pipeline waits for its permit before a node gives it a connection. A transaction and a subscriber take
    theirs from a node at once, without waiting: where no permit is free they get one that is not open, and wait when
    they open it. Nodes that redis-py makes later are limited when it notes them down; a socket that did not come from
    a limited node is refused.
    """

    kind = "redis"
    cap_option = "max_connections"

    def __init__(self, name: str, client: Any, limit: int) -> None:
        verify(name, CLIENT, client)
        manager, node, connection = _parts(name, client)
        verify(name, MANAGER, manager)
        verify(name, NODE, node)
        verify(name, CONNECTION, None, connection)
        super().__init__(name, limit, node.max_connections)
        self._client = client
        self._base: Any = type(client)
        self._manager: Any = type(manager)
        self._node: Any = type(node)
        self._connection: Any = connection
        self._limited_node: Any = None
        self._limited_connection: Any = None
        self._permits: dict[Any, _Permit] = {}
        self._sockets = Sockets(lambda: self.needed)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def install(self) -> None:
        manager = self._client.nodes_manager
        self._limited_connection = _limited(self._connection, self._connection_methods())
        self._limited_node = _limited(self._node, self._node_methods())
        manager.connection_kwargs["connection_class"] = self._limited_connection
        for node in [*manager.startup_nodes.values(), *manager.nodes_cache.values()]:
            self._limit_node(node)
        for nodes in {id(nodes): nodes for nodes in manager.slots_cache.values()}.values():
            for node in nodes:
                self._limit_node(node)
        put_in_front(manager, self, {"set_nodes": self.set_nodes})
        put_in_front(self._client, self, {"aclose": self.aclose})
        self.trim()

    @property
    def open(self) -> int:
        return self._sockets.count

    @property
    def closed(self) -> bool:
        return self._closed

    def sockets(self) -> list[Any]:
        return self._sockets.transports()

    def trim(self) -> None:
        if self.open > self.needed and loop_runs() and not self._elsewhere():
            self._sockets.trim()  # without a loop the next return does it

    async def run(self, method: Callable[..., Any], node: Any, *arguments: Any, **options: Any) -> Any:
        """redis-py's own `execute_command` or `execute_pipeline` of a node, behind the limiter."""
        permit = _Permit(of_command=True, granted=await self._acquire(DEFAULT_TIMEOUT_SECONDS))
        token = _COMMAND.set(permit)
        try:
            return await method(node, *arguments, **options)
        finally:
            _COMMAND.reset(token)
            self._give_back(node, permit)

    def take(self, node: Any) -> Any:
        """redis-py's own `acquire_connection`: one that is open, if there is a permit for it."""
        permit = _COMMAND.get()
        if permit is None or permit.connection is not None:
            permit = _Permit(False, self.limiter.acquire_at_once(), monotonic() + DEFAULT_TIMEOUT_SECONDS)
        try:
            connection = self._open_one(node) if permit.granted is not None else self._unopened_one(node)
        except BaseException:
            if not permit.of_command:
                self._release(permit)
            raise
        setattr(connection, _OWNER, node)
        self._sockets.use(connection)
        permit.connection = connection
        self._permits[connection] = permit
        return connection

    def release(self, node: Any, connection: Any) -> None:
        """redis-py's own `release`, which newer versions have."""
        self._node.release(node, connection)
        permit = self._permits.get(connection)
        if permit is None:
            self._put_away(node, connection)  # was in use before there was a limit
        elif not permit.of_command:
            self._give_back(node, permit)

    async def connect(self, method: Callable[..., Any], connection: Any, *arguments: Any, **options: Any) -> Any:
        """redis-py's own ways to connect; a permit that was not granted yet is waited for."""
        permit = self._permits.get(connection)
        if permit is not None and permit.granted is None:
            permit.granted = await self._acquire(max(0.0, permit.deadline - monotonic()))
        elif permit is None and not hasattr(connection, _OWNER):
            raise PoolError(
                f"pool {self.name!r}: a connection that its limited client did not make cannot be limited: take nodes "
                "from client.get_node() and the like, and give pub/sub of this redis-py a client of its own"
            )
        return await method(connection, *arguments, **options)

    async def open_socket(self, connection: Any) -> None:
        """redis-py's own `_connect`, once there is room below the limit."""
        permit = self._permits.get(connection)
        if permit is None or permit.granted is None:
            granted = await self._acquire(DEFAULT_TIMEOUT_SECONDS)  # opened for nobody: to authenticate anew
            try:
                await self._sockets.open(connection, lambda: self._connection._connect(connection))
            finally:
                self.limiter.release(granted)
            return
        await self._sockets.open(connection, lambda: self._connection._connect(connection))

    async def disconnect(self, connection: Any, *arguments: Any, **options: Any) -> None:
        """redis-py's own `disconnect`."""
        if self._elsewhere():  # there nobody would ever see that it is closed
            arguments, options = (), {"nowait": True}
        await self._sockets.close(connection, lambda: self._connection.disconnect(connection, *arguments, **options))

    def set_nodes(self, old: Any, new: Any, *arguments: Any, **options: Any) -> None:
        """redis-py's own `set_nodes`, through which every node goes before it is used."""
        for node in new.values():
            self._limit_node(node)
        self._manager.set_nodes(self._client.nodes_manager, old, new, *arguments, **options)

    async def aclose(self) -> None:
        """redis-py's own aclose; the client may be used again afterwards, and then counts as open."""
        self._closed = True
        await self._base.aclose(self._client)
        await self._sockets.all_discarded()

    def _node_methods(self) -> dict[str, Any]:
        # Plain functions, so that each is given its node.
        methods: dict[str, Any] = {
            "acquire_connection": lambda node: self.take(node),
            "execute_command": lambda node, *args, **kwargs: self.run(
                self._node.execute_command, node, *args, **kwargs
            ),
            "execute_pipeline": lambda node, commands: self.run(self._node.execute_pipeline, node, commands),
        }
        if hasattr(self._node, "release"):
            methods["release"] = lambda node, connection: self.release(node, connection)
        return methods

    def _connection_methods(self) -> dict[str, Any]:
        methods: dict[str, Any] = {
            "_connect": lambda connection: self.open_socket(connection),
            "disconnect": lambda connection, *args, **kwargs: self.disconnect(connection, *args, **kwargs),
        }
        for name in {"connect", "connect_check_health"} & {*dir(self._connection)}:
            methods[name] = self._connecting(getattr(self._connection, name))
        return methods

    def _connecting(self, method: Any) -> Any:
        return lambda connection, *args, **kwargs: self.connect(method, connection, *args, **kwargs)

    def _limit_node(self, node: Any) -> None:
        if type(node) is self._limited_node:
            return
        node.__class__, node.connection_class = self._limited_node, self._limited_connection
        for connection in node._connections:
            connection.__class__ = self._limited_connection
            setattr(connection, _OWNER, node)
            if connection.is_connected:
                self._sockets.add(connection)
            if connection in node._free:
                self._sockets.rest(connection, node)

    def _open_one(self, node: Any) -> Any:
        """From redis-py, an open connection first: one more would need room, which others would have to make."""
        free = node._free
        if free and not free[0].is_connected:
            found = next((each for each in free if each.is_connected), None)
            if found is not None:
                free.remove(found)
                free.appendleft(found)
        return self._node.acquire_connection(node)

    def _unopened_one(self, node: Any) -> Any:
        """From redis-py, one that waits when it is opened."""
        free, closed = node._free, [each for each in node._free if not each.is_connected]
        node._free = type(free)(closed, free.maxlen)
        try:
            return self._node.acquire_connection(node)  # makes one where none is free
        finally:
            left = {*node._free}
            node._free = type(free)([each for each in free if each.is_connected or each in left], free.maxlen)

    def _give_back(self, node: Any, permit: _Permit) -> None:
        connection = permit.connection
        if connection is not None and self._permits.pop(connection, None) is permit:
            self._put_away(node, connection)
        self._release(permit)
        self.trim()

    def _put_away(self, node: Any, connection: Any) -> None:
        if node._free and node._free[-1] is connection:
            self._sockets.rest(connection, node)
        elif hasattr(connection, "should_reconnect") and connection.should_reconnect():
            self._sockets.expect_to_close(connection)
        elif connection in node._connections:  # older versions forget it where sending failed or was cancelled
            node._connections.remove(connection)
            self._sockets.discard(connection)

    def _release(self, permit: _Permit) -> None:
        if permit.granted is not None:
            self.limiter.release(permit.granted)

    async def _acquire(self, timeout: float) -> float:
        self._closed = False
        if self.limiter.in_use >= self.limiter.limit and self._elsewhere():
            raise _acquire_timeout()(
                f"pool {self.name!r}: no connection is free, and a loop in another thread cannot wait for one: "
                "redis-py runs a part of transactions there; raise the limit, or use no transactions"
            )
        try:
            return await self.limiter.acquire(timeout)
        except AcquireTimeout as error:
            raise _acquire_timeout()(str(error)) from None

    def _elsewhere(self) -> bool:
        """Whether this runs in a second loop while the first one still runs, and waits for it."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop and (self._loop is None or not self._loop.is_running()):
            self._loop = loop
        return self._loop is not loop


def _parts(name: str, client: Any) -> tuple[Any, Any, Any]:
    """The client's manager of nodes, one of its nodes, and the class of its connections."""
    manager = client.nodes_manager
    node = next(iter(getattr(manager, "startup_nodes", {}).values()), None)
    connection = getattr(node, "connection_class", None)
    shared = getattr(manager, "connection_kwargs", {})
    if node is None or not isinstance(connection, type) or shared.get("connection_class") is not connection:
        raise PoolError(f"pool {name!r}: this redis-py does not say of which class its connections are")
    return manager, node, connection


def _limited(base: Any, methods: dict[str, Any]) -> Any:
    names = {"__slots__": (), "__module__": base.__module__, "__qualname__": base.__qualname__}
    return type(base.__name__, (base,), {**names, **methods})


@cache
def _acquire_timeout() -> type[AcquireTimeout]:
    """Ours and redis-py's for a full pool, which it does not take for a node that failed."""
    from redis.exceptions import MaxConnectionsError

    class RedisClusterAcquireTimeout(AcquireTimeout, MaxConnectionsError):
        """No connection to the cluster became free in time."""

    return RedisClusterAcquireTimeout
