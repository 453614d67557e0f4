"""Which arguments of a call may be used after the request that made it: a refresh in the background needs them all."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType, ModuleType
from typing import Any, Final, Literal

from paceline.errors import UsageError
from paceline.resources.cache.annotations import annotations_of, bare
from paceline.resources.cache.cache import Fetch
from paceline.resources.cache.call import Call
from paceline.resources.cache.key import KeyTemplate
from paceline.resources.cache.values import NoValue, encode

Refreshing = Callable[..., Any] | Literal["background", "foreground"] | None

_OUTLIVES: Final = frozenset(
    {
        *("httpx.AsyncClient", "httpx2.AsyncClient", "aiohttp.client.ClientSession", "asyncpg.pool.Pool"),
        *("redis.asyncio.client.Redis", "redis.asyncio.cluster.RedisCluster", "valkey.asyncio.client.Valkey"),
        *("pymongo.asynchronous.mongo_client.AsyncMongoClient", "psycopg_pool.pool_async.AsyncConnectionPool"),
        *("sqlalchemy.ext.asyncio.engine.AsyncEngine", "sqlalchemy.engine.base.Engine"),
        *("sqlalchemy.ext.asyncio.session.async_sessionmaker", "sqlalchemy.orm.session.sessionmaker"),
        *("starlette.applications.Starlette", "litestar.app.Litestar", "quart.app.Quart"),
    }
)
"""Classes that applications open once, in their lifespan; subclasses count. Nothing else is trusted to stay open."""


def outlives(value: Any) -> bool:
    """Whether an argument is a plain value, or of a class that stays open as long as the application."""
    if isinstance(value, (FunctionType, ModuleType, type)):
        return True
    names = (f"{each.__module__}.{each.__qualname__}" for each in type(value).__mro__)
    if not _OUTLIVES.isdisjoint(names):
        return True
    try:
        encode(value)
    except (NoValue, RecursionError):
        return False
    return True


class Refresher:
    """Decides for a cached function what may fetch a value behind the back of its caller.

    Raises:
        UsageError: `refresh` is no async function, or needs an argument that the cached function does not have.
    """

    def __init__(self, function: Callable[..., Any], template: KeyTemplate, refresh: Refreshing) -> None:
        self._template = template
        self._refresh = refresh
        if callable(refresh):
            _check(refresh, function)
            self._names = frozenset(inspect.signature(refresh).parameters)

    def __call__(self, fetch: Fetch, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Fetch | None:
        """What may fetch in the background; None: only the caller may, while its request lasts."""
        if self._refresh in ("background", "foreground"):
            return fetch if self._refresh == "background" else None
        if callable(self._refresh):
            given = self._template.bind(arguments, options)
            return Call(self._refresh, (), {name: given[name] for name in self._names if name in given})
        return fetch if all(map(outlives, (*arguments, *options.values()))) else None


def _check(refresh: Callable[..., Any], function: Callable[..., Any]) -> None:
    if not inspect.iscoroutinefunction(refresh):
        raise UsageError(f"tune.cache: refresh of {function.__qualname__} must be an `async def`")
    known = inspect.signature(function).parameters
    for name, parameter in inspect.signature(refresh).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise UsageError(f"tune.cache: {refresh.__qualname__} gets its arguments by name, {name} has none")
        if name not in known and parameter.default is parameter.empty:
            raise UsageError(
                f"tune.cache: {refresh.__qualname__} needs {name!r}, no parameter of {function.__qualname__}; "
                "open what it needs within it"
            )
    shared = {*inspect.signature(refresh).parameters}
    if bound := [each for each in bound_to_requests(function) if each.partition(" ")[0] in shared]:
        name = bound[0].partition(" ")[0]
        raise UsageError(
            f"tune.cache: {refresh.__qualname__} needs {name}, which ends with its request; open one within it"
        )


def bound_to_requests(function: Callable[..., Any]) -> tuple[str, ...]:
    """Parameters whose annotation shows that a refresh has to wait for a caller, as `db (AsyncSession)`."""
    annotations = annotations_of(function)
    shown = ((name, bare(annotations.get(name))) for name in inspect.signature(function).parameters)
    return tuple(f"{name} ({kind.__qualname__})" for name, kind in shown if _ends(kind))


def _ends(kind: Any) -> bool:
    names: Iterable[str] = (each.__name__ for each in kind.__mro__) if isinstance(kind, type) else ()
    return not _REQUESTS.isdisjoint(names)


_REQUESTS: Final = frozenset(
    {"AsyncSession", "Session", "async_scoped_session", "AsyncConnection", "Connection", "PoolConnectionProxy"}
    | {"HTTPConnection", "Request", "WebSocket", "BackgroundTasks", "Response"}
)
