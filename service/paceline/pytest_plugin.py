"""The pytest plugin: `await retune(pools={"postgres": 1}, caches={"products": 0})` in a test, restored after it."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, Protocol

import pytest

if TYPE_CHECKING:
    from paceline.document.model import Values
    from paceline.resources.registry import Tunables

_CLOSING_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.01


class Retune(Protocol):
    """Brings tunables to values as a tuning document does."""

    async def __call__(
        self,
        *,
        pools: Mapping[str, int] | None = None,
        caches: Mapping[str, float] | None = None,
        tunables: "Tunables | None" = None,
    ) -> None:
        """What is not named runs its start value. Returns once surplus idle connections are closed.

        Args:
            pools: limits by name.
            caches: TTLs in seconds by name.
            tunables: the registry, if not the one that `paceline serve` tunes.

        Raises:
            UsageError: a name that nothing is registered under, a limit outside 1 to the cap, a negative TTL.
        """


@pytest.fixture
def retune() -> Iterator[Retune]:
    """Retunes pools and caches the way production does; what was in force before comes back after the test."""
    # Here: a plugin is imported by every pytest run of an environment, and most runs do not retune.
    from paceline import tune
    from paceline.document.model import Values

    changed: dict[Tunables, Values] = {}

    async def apply(
        *,
        pools: Mapping[str, int] | None = None,
        caches: Mapping[str, float] | None = None,
        tunables: "Tunables | None" = None,
    ) -> None:
        registry = tune.tunables if tunables is None else tunables
        values = _checked(registry, pools or {}, caches or {})
        changed.setdefault(registry, registry.values)
        registry.apply(values)
        await _settled(registry)

    yield apply
    for registry, former in changed.items():
        registry.apply(former)


def _checked(registry: "Tunables", pools: Mapping[str, int], caches: Mapping[str, float]) -> "Values":
    from paceline.document.model import Values
    from paceline.document.tunables import CacheValues
    from paceline.errors import UsageError

    known = registry.report()
    for section, asked in (("pools", pools), ("caches", caches)):
        if unknown := sorted(asked.keys() - known[section].keys()):
            there = ", ".join(sorted(known[section])) or "none"
            raise UsageError(f"retune: {section} {', '.join(unknown)}: not registered; registered are: {there}")
    for name, limit in pools.items():
        cap = known["pools"][name]["cap"]
        if not 1 <= limit <= cap:
            raise UsageError(f"retune: pool {name!r}: a limit is 1 to {cap}, what its constructor allows; got {limit}")
    for name, ttl in caches.items():
        if ttl < 0:
            raise UsageError(f"retune: cache {name!r}: a TTL is 0 or more seconds; got {ttl:g}")
    return Values(None, dict(pools), {name: CacheValues(ttl) for name, ttl in caches.items()})


async def _settled(registry: "Tunables") -> None:
    """Connections that are checked out keep their place: the test may be the one that holds them."""

    async with asyncio.timeout(_CLOSING_SECONDS):
        while _surplus(registry):  # noqa: ASYNC110 - a driver sets no event when it has closed a connection
            await asyncio.sleep(_LOOK_SECONDS)


def _surplus(registry: "Tunables") -> bool:
    return any(pool["open"] > max(pool["limit"], pool["inUse"]) for pool in registry.report()["pools"].values())
