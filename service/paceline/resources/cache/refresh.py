"""Which arguments of a call may be used after the request that made it: a refresh in the background needs them all."""

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from types import FunctionType, ModuleType
from typing import Any, Final, Literal

from paceline.errors import UsageError
from paceline.resources.cache.annotations import annotations_of, bare
from paceline.resources.cache.cache import Fetch
from paceline.resources.cache.call import Call
from paceline.resources.cache.key import KeyTemplate
from paceline.resources.cache.values import NoValue, encode

log = logging.getLogger(__name__)

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
"""Classes that applications open once, in their lifespan; subclasses count. Nothing else is trusted to stay open, and
these only until one was found closed."""


_DEEPEST: Final = 4


def outlives(value: Any, *, trusting: bool = True, depth: int = 0) -> bool:
    """Whether an argument is a plain value, or of a class that stays open as long as the application.

    Args:
        trusting: whether such a class is trusted to.
    """
    if isinstance(value, FunctionType):
        held = _held_by(value)
        return depth < _DEEPEST and all(outlives(each, trusting=trusting, depth=depth + 1) for each in held)
    if isinstance(value, (ModuleType, type)):
        return True
    if _stays_open(value):
        return trusting
    try:
        encode(value)
    except (NoValue, RecursionError):
        return False
    return True


def _stays_open(value: Any) -> bool:
    return not _OUTLIVES.isdisjoint(f"{each.__module__}.{each.__qualname__}" for each in type(value).__mro__)


def _held_by(function: FunctionType) -> Iterable[Any]:
    """What a function has of where it was defined: a session, perhaps."""
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # empty so far
            yield cell.cell_contents
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()


def _is_closed(client: Any) -> bool:
    """Whether a client or pool says so, in the ways of those in `_OUTLIVES`."""
    said = (getattr(client, name, None) for name in ("is_closed", "closed", "_closed"))
    return any(each is True for each in said)


def _misses_a_variable(error: BaseException | None) -> bool:
    """Whether a context variable had no value, as those of a request have none in the background."""
    for _ in range(_DEEPEST):
        if error is None:
            break
        if isinstance(error, LookupError) and error.args and isinstance(error.args[0], ContextVar):
            return True
        error = error.__cause__ or error.__context__
    return False


class _Watched:
    """A fetch in the background; `look` learns why it failed."""

    __slots__ = ("_fetch", "_look")

    def __init__(self, fetch: Fetch, look: Callable[[Exception], None]) -> None:
        self._fetch = fetch
        self._look = look

    async def __call__(self) -> Any:
        try:
            return await self._fetch()
        except Exception as error:
            self._look(error)
            raise

    def held(self) -> "_Watched":
        """See `Call.held`."""
        held: Callable[[], Fetch] | None = getattr(self._fetch, "held", None)
        return self if held is None else _Watched(held(), self._look)


class Refresher:
    """Decides for a cached function what may fetch a value behind the back of its caller.

    Raises:
        UsageError: `refresh` is no async function, or needs an argument that the cached function does not have.
    """

    def __init__(self, function: Callable[..., Any], template: KeyTemplate, refresh: Refreshing) -> None:
        self._template = template
        self._refresh = refresh
        self._name = getattr(function, "__qualname__", "")
        self._trusting = True
        self._needs_caller = False
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
        passed = (*arguments, *options.values())
        if self._needs_caller or not all(outlives(each, trusting=self._trusting) for each in passed):
            return None
        return _Watched(fetch, partial(self._look, [each for each in passed if _stays_open(each)]))

    def _look(self, trusted: Iterable[Any], error: Exception) -> None:
        """Learns from a failed fetch in the background that the function needs what ends with a request."""
        closed = next(filter(_is_closed, trusted), None)
        if closed is not None and self._trusting:
            self._trusting = False
            self._tell(f"got {type(closed).__qualname__} that was closed when its request ended")
        elif _misses_a_variable(error) and not self._needs_caller:
            self._needs_caller = True
            self._tell("needs a context variable, which has no value once a request has ended")

    def _tell(self, what: str) -> None:
        log.warning(
            "tune.cache: %s() %s; from now on a caller waits for each fetch, unless refresh= opens what it needs",
            self._name,
            what,
        )


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
