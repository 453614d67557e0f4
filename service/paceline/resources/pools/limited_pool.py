"""What every limited pool has in common: its checks, its limit and its report. Knows no driver."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

from paceline.errors import PoolError
from paceline.resources.limiter import Limiter

MARK = "__paceline_pool__"
"""Attribute that an adapter puts on the class of a limited object."""


class LimitedPool(ABC):
    """A pool with a limiter in front of its checkouts. Subclasses adapt one driver's pool each.

    Raises:
        PoolError: the limit is not between 1 and the cap.
    """

    kind: str
    cap_option: str
    """The constructor's parameter that sets the cap, for messages."""
    make_limiter: Callable[[str, int], Limiter] = Limiter

    def __init__(self, name: str, limit: int, cap: int) -> None:
        self.name = name
        self.cap = cap
        self.check(limit)
        self.start_limit = limit
        self.limiter = self.make_limiter(name, limit)
        self.installed = False

    def check(self, limit: int) -> None:
        """Whether this pool can have that limit.

        Raises:
            PoolError: it cannot.
        """
        if limit < 1:
            raise PoolError(f"pool {self.name!r}: limit must be at least 1, got {limit}")
        if limit > self.cap:
            raise PoolError(
                f"pool {self.name!r}: limit {limit} is above what the pool allows; "
                f"raise {self.cap_option} (now {self.cap}) where it is made, or lower the limit"
            )

    @abstractmethod
    def install(self) -> None:
        """Puts the limiter in front of the pool; until then the pool works as it did."""

    @property
    @abstractmethod
    def open(self) -> int:
        """Connections that the server may see: checked out, idle, being opened or closed."""

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether its owner closed it, so that another may take its name."""

    @abstractmethod
    def trim(self) -> None:
        """Closes idle connections that are not `needed`, without waiting for it."""

    @abstractmethod
    def sockets(self) -> Iterable[Any]:
        """See `TunablePool.sockets`."""

    @property
    def server_max_connections(self) -> int | None:
        """What the server says it allows all its clients together; None: not known."""
        return None

    @property
    def needed(self) -> int:
        """Connections to keep: the limit, and after a shrink one for each permit that is still out.

        A permit may have been granted a moment ago; closing what it is about to take would only open another.
        """
        return max(self.limiter.limit, self.limiter.in_use)

    def set_limit(self, limit: int) -> None:
        """See `TunablePool.set_limit`."""
        self.limiter.set_limit(limit)
        self.trim()

    def report(self) -> dict[str, Any]:
        """See `TunablePool.report`."""
        limiter = self.limiter
        return {
            "kind": self.kind,
            "limit": limiter.limit,
            "cap": self.cap,
            "inUse": limiter.in_use,
            "open": self.open,
            "waiting": limiter.waiting,
            "timeouts": limiter.timeouts,
            "wait": limiter.wait.to_json(),
            "hold": limiter.hold.to_json(),
            "serverMaxConnections": self.server_max_connections,
        }


def put_in_front(pool: Any, adapter: object, methods: dict[str, Any]) -> None:
    """Gives this one object a subclass of its own class with `methods` replaced: it stays itself, isinstance holds.

    The methods are bound to the adapter already; the pool is not passed to them.
    """
    base = type(pool)
    names = {"__slots__": (), "__module__": base.__module__, "__qualname__": base.__qualname__, MARK: adapter}
    pool.__class__ = type(base.__name__, (base,), {**names, **methods})


def loop_runs() -> bool:
    """Whether a connection can be closed now: a pool may be made and limited before its loop starts."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
