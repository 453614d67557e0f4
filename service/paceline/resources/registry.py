"""The tunables of one process by name, and the one way in which values reach them. Knows no driver and no file."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from paceline.document.model import Values
from paceline.errors import PoolError, UsageError
from paceline.resources.jobs import Job
from paceline.settings import CacheSettings, Settings


class TunablePool(Protocol):
    """Something that lends connections, at most `limit` at a time."""

    name: str
    cap: int
    """What the constructor allows; no document goes beyond it."""
    start_limit: int
    """The limit that the code gave: in force without a document."""

    @property
    def closed(self) -> bool:
        """Its owner closed it: another may take the name."""

    def set_limit(self, limit: int) -> None:
        """Takes effect at once for new checkouts; surplus connections close as they come back. 1 ≤ limit ≤ cap."""

    def report(self) -> dict[str, Any]:
        """The shape of `pools.<name>` in `/state`."""

    def sockets(self) -> Iterable[Any]:
        """Transports or sockets of its connections, checked out or idle; those that are just opening may be missing."""


class TunableCache(Protocol):
    """Something that caches values for a TTL."""

    name: str
    origin: str
    """The function whose values it caches."""
    note: str
    """What `paceline check` says of it; may be empty."""

    @property
    def closed(self) -> bool:
        """Nobody can use it any more: another may take the name."""

    start_ttl_seconds: float
    """The TTL that the code gave: in force without a document."""

    def set_ttl(self, seconds: float) -> None:
        """Takes effect at once, for entries that exist too; 0: always fetch."""

    def report(self) -> dict[str, Any]:
        """The shape of `caches.<name>` in `/state`."""


class RedisClient(Protocol):
    """What is used of `redis.asyncio.Redis`."""

    def eval(self, script: str, numkeys: int, /, *keys_and_args: Any) -> Awaitable[Any]: ...


class Executor(Protocol):
    """Runs packed calls somewhere."""

    async def run(self, call: bytes, started: Callable[[], None]) -> bytes:
        """The packed result of a packed call. `started` is called when the wait is over."""

    def set_limit(self, limit: int) -> None:
        """Takes effect at once, without waiting."""

    async def aclose(self) -> None:
        """Ends what was started."""


class ProcessPoolSettings(Protocol):
    """What an executor needs to know of the process pool that it runs calls for."""

    name: str
    cap: int
    start_limit: int
    queue: int


class Tunables:
    """Pools and caches by the names that a policy uses.

    Values may arrive before a pool is registered (a worker starts late, a lifespan opens a pool): they are remembered,
    and a pool registered later starts with them. Not thread-safe: belongs to the event loop's thread.
    """

    def __init__(self) -> None:
        self.cache_redis: RedisClient | None = None
        """The `redis.asyncio.Redis` that caches of this registry share, where they are given none of their own."""
        self.cache_namespace = ""
        """What keys of caches in Redis begin with, so that applications may share one; `paceline serve` sets it."""
        self.subscriptions: WeakKeyDictionary[Any, TunablePool] = WeakKeyDictionary()
        """By Redis client, what tells caches that another process forgot a key."""
        self.serving = False
        """Whether `paceline serve` tunes it: names are then given once, since a second pool would not be tuned."""
        self.process_executor: Callable[[ProcessPoolSettings], Executor] | None = None
        """Makes what runs the calls of a process pool; None: each pool starts processes of its own."""
        self.runs_jobs = False
        """Whether `paceline serve` runs the jobs, in one worker of the pod."""
        self._jobs: dict[str, Job] = {}
        self._pools: dict[str, TunablePool] = {}
        self._caches: dict[str, TunableCache] = {}
        self._values = Values()

    def namespace(self) -> str:
        """`cache_namespace`, or PACELINE_CACHE_NAMESPACE; empty where neither is set."""
        return self.cache_namespace or CacheSettings().namespace

    def serve(self, target: str, settings: Settings) -> None:
        """Called before `target` is loaded by `paceline serve`, or checked for it."""
        self.serving = True
        self.cache_namespace = settings.cache.namespace or target

    @property
    def values(self) -> Values:
        """The values applied last."""
        return self._values

    def add_pool(self, pool: TunablePool) -> None:
        """Registers a pool and gives it the values in force.

        Raises:
            PoolError: under `paceline serve`: the name is taken by a pool that is not closed. Elsewhere the new one
                takes its place, so that tests may make an application anew.
        """
        previous = self._pools.get(pool.name)
        if self.serving and previous is not None and previous is not pool and not previous.closed:
            raise PoolError(f"pool {pool.name!r} is registered twice; give each pool a name of its own")
        self._pools[pool.name] = pool
        self._apply_to_pool(pool)

    def remove_pool(self, pool: TunablePool) -> None:
        """Takes back the registration of a pool that turned out not to be tunable."""
        if self._pools.get(pool.name) is pool:
            del self._pools[pool.name]

    def add_cache(self, cache: TunableCache) -> None:
        """Registers a cache and gives it the values in force.

        Raises:
            UsageError: under `paceline serve`: the name is taken by another function, or by the same one defined twice.
                Elsewhere the new one takes its place.
        """
        previous = self._caches.get(cache.name)
        if self.serving and previous is not None and not previous.closed:
            raise UsageError(
                f"cache {cache.name!r} is registered by {previous.origin} and by {cache.origin}; "
                "give each cache a name of its own"
            )
        self._caches[cache.name] = cache
        self._apply_to_cache(cache)

    def add_job(self, job: Job) -> None:
        """Registers a job; one that is defined anew takes the place of the earlier one."""
        self._jobs[job.name] = job

    @property
    def jobs(self) -> tuple[Job, ...]:
        """In the order in which they were registered."""
        return tuple(self._jobs.values())

    def apply(self, values: Values) -> list[str]:
        """Brings every tunable to `values`; what they do not name goes to its start value.

        Returns:
            The names in `values` that nothing is registered under, sorted; they count once it is.

        Raises:
            PoolError: a pool does not take its limit; all others have theirs.
        """
        self._values = values
        failed = {pool.name: error for pool in self._pools.values() if (error := self._failure(pool)) is not None}
        for cache in self._caches.values():
            self._apply_to_cache(cache)
        for name, error in failed.items():
            raise PoolError(f"pool {name!r} does not take its limit: {type(error).__name__}: {error}") from error
        return values.unknown({"pools": self._pools, "caches": self._caches})

    def report(self) -> dict[str, Any]:
        """`{"pools": {…}, "caches": {…}}` in the shapes of `/state`; counters cover the life of the process."""
        return {
            "pools": {name: pool.report() for name, pool in self._pools.items()},
            "caches": {name: cache.report() for name, cache in self._caches.items()},
        }

    def sockets(self) -> list[Any]:
        """What the connections of all pools run over: see `TunablePool.sockets`."""
        return [each for pool in self._pools.values() for each in pool.sockets()]

    def start_values(self) -> dict[str, Mapping[str, Any]]:
        """In force without a document: `{"pools": {name: limit}, "caches": {name: {"ttlSeconds": x}}}`."""
        return {
            "pools": {name: pool.start_limit for name, pool in self._pools.items()},
            "caches": {name: {"ttlSeconds": cache.start_ttl_seconds} for name, cache in self._caches.items()},
        }

    def _failure(self, pool: TunablePool) -> Exception | None:
        try:
            self._apply_to_pool(pool)
        except Exception as error:
            return error
        return None

    def notes(self) -> dict[str, str]:
        """What there is to say of caches, by name."""
        return {name: cache.note for name, cache in self._caches.items() if cache.note}

    def _apply_to_pool(self, pool: TunablePool) -> None:
        # The agent has clamped already, but only to caps it knew: a pool registered a moment ago is not among them.
        asked = self._values.pools.get(pool.name, pool.start_limit)
        pool.set_limit(max(1, min(asked, pool.cap)))

    def _apply_to_cache(self, cache: TunableCache) -> None:
        values = self._values.caches.get(cache.name)
        cache.set_ttl(cache.start_ttl_seconds if values is None else values.ttl_seconds)
