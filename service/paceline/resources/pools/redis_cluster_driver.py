"""What the limit of a cluster client relies on: members of redis-py 5.0.2 to 8.1."""

from typing import Final

from paceline.resources.pools.driver import Driver, Member

_CLUSTER: Final = "redis.asyncio.cluster"
_CONNECTION: Final = "redis.asyncio.connection:AbstractConnection"
_LOWEST: Final = "5.0.2"
_TRANSACTIONS: Final = "6.2"

CLIENT: Final = Driver(
    package="redis",
    lowest=_LOWEST,
    members=(),
    entries=("aclose",),
    links=(
        (f"{_CLUSTER}:RedisCluster.initialize", "nodes_manager"),
        (f"{_CLUSTER}:RedisCluster._execute_command", "execute_command"),
    ),
    reads=("nodes_manager", "connection_kwargs"),
)
MANAGER: Final = Driver(
    package="redis",
    lowest=_LOWEST,
    members=(
        Member(
            "set_nodes",
            ("old", "new", "remove_old"),
            callers=(
                f"{_CLUSTER}:NodesManager.initialize",
                f"{_CLUSTER}:NodesManager._update_moved_slots or {_CLUSTER}:NodesManager.move_slot",
            ),
        ),
    ),
    links=((f"{_CLUSTER}:NodesManager.initialize", "connection_kwargs"),),
    reads=("startup_nodes", "nodes_cache", "slots_cache", "connection_kwargs"),
)
NODE: Final = Driver(
    package="redis",
    lowest=_LOWEST,
    members=(
        Member(
            "execute_command",
            ("*args", "**kwargs"),
            asynchronous=True,
            callers=(f"{_CLUSTER}:RedisCluster._execute_command",),
            otherwise=(("*args", "asking=", "**kwargs"),),
        ),
        Member(
            "execute_pipeline",
            ("commands",),
            asynchronous=True,
            callers=(f"{_CLUSTER}:PipelineStrategy._execute or {_CLUSTER}:ClusterPipeline._execute",),
        ),
        Member(
            "acquire_connection",
            callers=(f"{_CLUSTER}:ClusterNode.execute_command", f"{_CLUSTER}:ClusterNode.execute_pipeline"),
        ),
        Member("release", ("connection",), callers=(f"{_CLUSTER}:TransactionStrategy.reset",), since=_TRANSACTIONS),
    ),
    links=((f"{_CLUSTER}:ClusterNode.acquire_connection", "_free"),),
    reads=("_free", "_connections", "max_connections", "connection_class"),
)
CONNECTION: Final = Driver(
    package="redis",
    lowest=_LOWEST,
    members=(
        Member(
            "_connect", asynchronous=True, callers=(f"{_CONNECTION}.connect_check_health or {_CONNECTION}.connect",)
        ),
        Member("connect", asynchronous=True),
        Member(
            "connect_check_health",
            ("check_health", "retry_socket_connect"),
            asynchronous=True,
            callers=(f"{_CONNECTION}.connect", f"{_CONNECTION}.send_packed_command"),
            otherwise=(("check_health",),),
            since=_TRANSACTIONS,
        ),
        Member(
            "disconnect",
            ("nowait", "error", "failure_count", "health_check_failed"),
            asynchronous=True,
            otherwise=(("nowait",),),
        ),
    ),
)
