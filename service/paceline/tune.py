"""The public API: hand over a pool or a function, and its capacity follows the tuning policy while the process runs.

Without `paceline serve` the values given here stay in force, and tests run as before.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

from paceline.errors import PoolError, UsageError
from paceline.resources import jobs, random_generators
from paceline.resources.batch import Batch, K, Load, V
from paceline.resources.cache.cache import Cache
from paceline.resources.cache.cached import Cached, cached
from paceline.resources.cache.call import check_returned
from paceline.resources.cache.entry import Serializer
from paceline.resources.cache.key import KeyTemplate
from paceline.resources.cache.redis import RedisTier
from paceline.resources.cache.refresh import Refresher, Refreshing, bound_to_requests
from paceline.resources.cache.serializers import returned, serializer_for
from paceline.resources.jobs import Job
from paceline.resources.pools.adapters import adapt
from paceline.resources.processes.processes import Processes
from paceline.resources.registry import Executor, ProcessPoolSettings, RedisClient, Tunables

__all__ = [
    "Batch",
    "Cached",
    "Processes",
    "Tunables",
    "batch",
    "cache",
    "fork_safe",
    "once_per_pod",
    "pool",
    "processes",
    "running",
    "tunables",
]

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")
Background = TypeVar("Background", bound=Callable[[], Coroutine[Any, Any, None]])

tunables: Final = Tunables()
"""The registry that `paceline serve` tunes; `Tunables()` makes an isolated one, for a library or a test."""

_default = tunables


def pool(obj: T, *, name: str, limit: int, tunables: Tunables | None = None) -> T:
    """Limits a connection pool that you have made; the same object comes back, still itself.

        redis = tune.pool(Redis.from_url(URL, max_connections=50), name="redis", limit=20)
        engine = tune.pool(create_async_engine(DSN, pool_size=40, max_overflow=0), name="orders", limit=15)
        pg = tune.pool(await asyncpg.create_pool(DSN, min_size=0, max_size=40), name="postgres", limit=10)
        mongo = tune.pool(AsyncMongoClient(URL, maxPoolSize=40), name="mongo", limit=10)
        sync = tune.pool(create_engine(DSN, pool_size=40, max_overflow=0), name="reports", limit=10)
        http = tune.pool(ClientSession(connector=TCPConnector(limit=100)), name="upstream", limit=20)
        http = tune.pool(httpx.AsyncClient(limits=httpx.Limits(max_connections=100)), name="upstream", limit=20)

    At most `limit` connections are checked out at a time, and open at the server; callers wait their turn, first come,
    first served. The limit moves with the policy between 1 and what the constructor allows (`max_size`,
    `max_connections`, `pool_size + max_overflow`, `maxPoolSize`, the connector's `limit`).
    The same object may be handed over again under the same name, as by an application factory that tests call twice:
    the last `limit` is then its start value.
    A timeout of the pool's own counts from the call; it raises `AcquireTimeout`, which is also the error that the
    driver would raise there (with aiohttp and httpx, which raise their own, that one's cause). A closed pool gives
    its name back.

    Args:
        obj: SQLAlchemy's `AsyncEngine` or `Engine`, `psycopg_pool.AsyncConnectionPool` or `ConnectionPool`,
            `asyncpg.Pool`, `redis.asyncio.Redis` or its `ConnectionPool` or
            `BlockingConnectionPool`, `redis.asyncio.RedisCluster`, pymongo's `AsyncMongoClient`,
            aiohttp's `ClientSession` or its connector,
            the `AsyncClient` of httpx or httpx2, or a subclass.
        name: the pool's name in the policy.
        limit: connections per process without a tuning document: the start value.
        tunables: the registry, if not the one that `paceline serve` tunes.

    Raises:
        PoolError: unsupported object, a driver that is not as its adapter expects (a replaced method is missing,
            changed or overridden), limit above what the constructor allows, `min_size` above the limit, name taken, or
            an object that has another name already.
    """
    adapter = adapt(name, obj, limit)
    registry = _default if tunables is None else tunables
    registry.add_pool(adapter)
    if adapter.installed:
        return obj
    try:
        adapter.install()
        adapter.installed = True
    except (AttributeError, TypeError) as error:
        registry.remove_pool(adapter)
        kind = f"{type(obj).__module__}.{type(obj).__qualname__}"
        raise PoolError(
            f"pool {name!r}: {kind} cannot be given a limit: {error}; hand over the driver's own"
        ) from error
    return obj


def batch(load: Load[K, V], *, max_size: int = 100, in_flight: int = 2) -> Batch[K, V]:
    """Lookups of one kind that wait at the same time become one call: one round trip, one connection instead of many.

        async def load_users(ids: Sequence[int]) -> Mapping[int, User]:
            rows = await pg.fetch("SELECT id, name FROM users WHERE id = ANY($1::bigint[])", ids)
            return {row["id"]: User(**row) for row in rows}

        user_by_id = tune.batch(load_users)
        user = await user_by_id(7)  # None if there is no such user

    A lookup that finds no call under way goes out at once, with all that ask in the same turn of the event loop. The
    others go with the next call. A key that two ask for is loaded once, and both get the same object; a lookup never
    joins a call that was under way before it, so that it sees what its caller has written. A caller that is cancelled
    does not disturb the others.

    The call runs in the context in which the batch was made: it is no part of a caller's transaction or span. Where a
    lookup has to see an open transaction, ask its connection.

    Args:
        load: from keys, each once, to what there is for them. A key may have an exception for a value: it is raised in
            those that asked for it. What `load` raises is raised in all that are in the call.
        max_size: keys in a call at the most; more wait for the next one.
        in_flight: calls at the same time at the most, each of which takes a connection.

    Raises:
        UsageError: a limit below one.
    """
    return Batch(load, max_size=max_size, in_flight=in_flight)


def processes(
    *,
    name: str = "processes",
    limit: int = 1,
    cap: int | None = None,
    queue: int = 16,
    tunables: Tunables | None = None,
) -> Processes:
    """A pool of processes for CPU work: one for all workers of a pod, made when first used.

        async with tune.processes(limit=2) as pool:
            tile = await pool.run(render, 3, 5)  # a function from the top level of a module

    At most `limit` calls run at a time in the whole pod. The limit moves with the policy, in `pools`, between 1 and
    `cap`: unlike that of other pools it counts per pod, whatever the number of workers. Without `paceline serve` the
    process starts children of its own.

    Args:
        name: the pool's name in the policy.
        limit: processes per pod without a tuning document: the start value.
        cap: never more, whatever a document says; the machine's cores, if not given.
        queue: calls that may wait in the whole pod; one more is refused with `PoolFull`.
        tunables: the registry, if not the one that `paceline serve` tunes.

    Raises:
        PoolError: limit outside 1 to `cap`, negative queue, name taken.
    """
    registry = _default if tunables is None else tunables

    def in_pod(pool: ProcessPoolSettings) -> Executor | None:
        return None if registry.process_executor is None else registry.process_executor(pool)

    made = Processes(name, limit=limit, cap=cap, queue=queue, pod=in_pod)
    registry.add_pool(made)
    return made


def once_per_pod(function: Background) -> Background:
    """Marks an async function without parameters that one worker of the pod runs: a scheduler, an outbox poller.

        @tune.once_per_pod
        async def poll_outbox() -> None:
            while True:
                ...

    `paceline serve` starts it after the application's start-up, in one worker; when that worker leaves or dies,
    another one runs it from the beginning. It is cancelled when its worker drains, and awaited before the application
    shuts down, so what it uses is still open. After an error it is run again, 1, 2, 4 ... 60 seconds later; once it
    returns, not again while its worker lives. Two pods run it twice.

    The function comes back as it is. Other servers do not start it: see `running`.

    Raises:
        UsageError: it is not an `async def`, or it has parameters without a default.
    """
    if not inspect.iscoroutinefunction(function) or _required(function):
        raise UsageError(f"tune.once_per_pod: {function.__qualname__} must be an `async def` without parameters")
    _default.add_job(Job(f"{function.__module__}.{function.__qualname__}", function))
    return function


def _required(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind()
    except TypeError:
        return True
    return False


@asynccontextmanager
async def running(tunables: Tunables | None = None) -> AsyncIterator[None]:
    """For other servers, in the lifespan: runs what `once_per_pod` marked while the body does.

    Under `paceline serve` it does nothing. Under any other server every worker process runs all of it.
    """
    registry = _default if tunables is None else tunables
    async with jobs.running(() if registry.runs_jobs else registry.jobs):
        yield


def fork_safe(generator: T) -> T:
    """Keeps a random generator that is made while the application loads from being the same in all workers.

        codes = tune.fork_safe(random.Random())

    `paceline serve` loads the application once and forks the workers. Two workers with a copy of one generator would
    draw the same numbers, so such a generator turns that off, unless it is handed over here: then every process that is
    forked reseeds it from the operating system's entropy. Under any other server it counts for forks alike.

    The generator comes back as it is. `random.SystemRandom` and the functions of the module `random` need nothing.
    What a generator of numpy's spawns (`spawn`) is the same in every process all the same: spawn in the lifespan, from
    one that was made there.

    Args:
        generator: a `random.Random`, or a `Generator`, `RandomState` or `BitGenerator` of `numpy.random`.

    Raises:
        UsageError: it is none of these.
    """
    random_generators.fork_safe(generator)
    return generator


def cache(
    *,
    name: str,
    ttl: float,
    max_staleness: float = 0.0,
    key: str | None = None,
    refresh: Refreshing = None,
    redis: RedisClient | None = None,
    serializer: Serializer | None = None,
    max_entries: int = 1024,
    tunables: Tunables | None = None,
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Cached[P, R]]:
    """Caches what an async function returns, for a time that moves with the policy, for what is cached already too.

        @tune.cache(name="products", ttl=60, max_staleness=300, key="products:{page}")
        async def load_products(page: int) -> list[Product]: ...

    Concurrent calls with one key share one fetch. An error is never cached. The value is shared between callers: do
    not change it. Redis, if given, is a second tier for all processes; while it fails, each fetches by itself.

    Args:
        name: the cache's name in the policy.
        ttl: seconds without a tuning document: the start value. 0: every call fetches.
        max_staleness: seconds beyond the TTL in which a value may still be returned, while a new one is fetched in the
            background, or where fetching fails. The fetch is in the background only if all arguments of the call may
            be used after its request: plain values, and clients, pools and engines that applications open once. With
            any other, such as a session or a request, the first caller to see a stale value waits for the fetch.
        refresh: an `async def` that fetches in the background with resources of its own; it gets those arguments by
            name that it has parameters for. Or "background", if all arguments outlive their request; or "foreground".
        key: a template of the function's parameters: `"{user.id}:{page:03d}"`; without it all of them count. It
            holds values with their types; an object that is equal to itself alone is refused, by annotation or
            when called: a session, a request, `self`. `{item!s}` takes the text of an object instead of its value.
        redis: a `redis.asyncio.Redis` without `decode_responses`; without it `tunables.cache_redis`, if that is set.
        serializer: for Redis, an object with `dumps` and `loads`; without it the return annotation decides.
        max_entries: values in memory per process; the one unused longest makes room.
        tunables: the registry, if not the one that `paceline serve` tunes.

    Raises:
        UsageError: negative duration, a broken key or one without a value, not an `async def`, name taken by another
            function.
    """
    registry = _default if tunables is None else tunables

    def decorate(function: Callable[P, Coroutine[Any, Any, R]]) -> Cached[P, R]:
        if not inspect.iscoroutinefunction(function) or not hasattr(function, "__qualname__"):
            raise UsageError(f"tune.cache: {getattr(function, '__qualname__', function)} must be an `async def`")
        check_returned(function, returned(function))
        template = KeyTemplate(function, key)
        make_serializer = partial(serializer_for, function) if serializer is None else lambda: serializer
        tier = RedisTier(
            name,
            lambda: redis or registry.cache_redis,
            make_serializer,
            registry=registry,
            namespace=function.__module__,
            meaning=f"{function.__module__} {key}",
        )
        origin = f"{function.__module__}.{function.__qualname__}"
        values = Cache(
            name, ttl, redis=tier, max_staleness_seconds=max_staleness, max_entries=max_entries, origin=origin
        )
        refresher = Refresher(function, template, refresh)
        registry.add_cache(values)
        if refresh is None and (names := bound_to_requests(function)):
            values.note = (
                f"a caller waits for each fetch, since {', '.join(names)} ends with its request: pass refresh="
            )
        return cached(function, values, template, refresher)

    return decorate
