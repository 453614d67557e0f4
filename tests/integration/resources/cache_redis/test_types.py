"""All processes get values of one type, and values of another shape or namespace are others."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from time import monotonic
from typing import Any
from uuid import UUID

import pytest
from cached_shop import entries, written
from paceline import tune
from paceline.resources.cache.fidelity import difference
from redis.asyncio import Redis


@dataclass
class Order:
    when: Any


AWKWARD = {
    "when": datetime(2026, 3, 29, 2, 30, tzinfo=UTC),
    "id": UUID(int=7),
    "pair": (1, "a"),
    "price": Decimal("1.10"),
    "odd": [float("nan"), -0.0, float("inf"), 2**70, b"\xff", {1, 2}, timedelta(1), date(2026, 1, 1), "\ud800", "\0"],
    "within": {1: "one", "1": "text", (1, 2): None, "\0": 1},
}


@pytest.mark.invariant
@pytest.mark.parametrize(
    ("value", "annotation", "shared"),
    [
        pytest.param(AWKWARD, dict, True, id="a dict of everything"),
        pytest.param(AWKWARD, dict[str, Any], True, id="the same, annotated"),
        pytest.param(AWKWARD, None, True, id="the same, not annotated"),
        pytest.param((1, (2,)), tuple[int, tuple[int, ...]], True, id="tuples"),
        pytest.param({1: {2: 3}}, dict[int, dict[int, int]], True, id="integer keys"),
        pytest.param([Order(1)], list[Order], True, id="a dataclass"),
        pytest.param([Order(UUID(int=7))], list[Order], False, id="a dataclass with an unnamed type in it"),
        pytest.param([Order(1)], list, False, id="a dataclass that no annotation names"),
        pytest.param(Order, Any, False, id="a class"),
        pytest.param("text", bytes, False, id="another type than annotated"),
    ],
)
async def test_all_processes_get_values_of_the_same_types(
    client: Redis, eventually: Any, caplog: pytest.LogCaptureFixture, value: Any, annotation: Any, shared: bool
) -> None:
    fetches = 0

    def start() -> Any:
        async def load() -> Any:
            nonlocal fetches
            fetches += 1
            return value

        if annotation is None:
            del load.__annotations__["return"]
        else:
            load.__annotations__["return"] = annotation
        tunables = tune.Tunables()
        tunables.cache_redis = client
        return tune.cache(name="values", ttl=60, tunables=tunables)(load)

    first = await start()()

    async def settled() -> bool:
        return bool(await entries(client)) or "is not shared through Redis" in caplog.text

    await eventually(settled, "the value written, or refused with the reason")
    second = await start()()
    assert difference(first, second) is None
    assert fetches == (1 if shared else 2)
    assert ("is not shared through Redis" in caplog.text) is not shared


async def test_other_shapes_and_namespaces_have_entries_of_their_own(client: Redis, eventually: Any) -> None:
    def start(annotation: Any, namespace: str, value: Any) -> Any:
        async def load() -> Any:
            return value

        load.__annotations__["return"] = annotation
        tunables = tune.Tunables()
        tunables.cache_redis, tunables.cache_namespace = client, namespace
        return tune.cache(name="values", ttl=60, tunables=tunables)(load)

    for number, (annotation, namespace) in enumerate([(dict, "a"), (list, "a"), (dict, "b"), (dict, "b:c")]):
        assert await start(annotation, namespace, [number])() == [number]

        async def as_many(number: int = number) -> bool:
            return len(await entries(client)) == number + 1

        await eventually(as_many, "one more entry")


@pytest.mark.invariant
async def test_a_forget_reaches_entries_of_another_shape(client: Redis, eventually: Any) -> None:
    """During a rollout an old and a new release have the same cache."""

    def start(annotation: Any) -> Any:
        async def load(page: int) -> Any:
            return [monotonic()]

        load.__annotations__["return"] = annotation
        tunables = tune.Tunables()
        tunables.cache_redis = client
        return tune.cache(name="values", ttl=60, tunables=tunables)(load)

    old_release, new_release = start(list), start(list[float])
    old = await old_release(1)
    await written(client, eventually)
    await new_release.forget(1)

    async def gone() -> bool:
        return old_release.age(1) is None

    await eventually(gone, "the old release without the entry")
    assert await start(list)(1) != old
