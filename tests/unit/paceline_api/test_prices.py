"""What waits for one client: bounded, newest last, and honest about what is missing."""

import asyncio

from paceline_api.prices import Subscriber


async def test_messages_come_in_order() -> None:
    subscriber = Subscriber(3)
    for message in ("a", "b", "c"):
        subscriber.offer(message)
    assert await subscriber.take() == ["a", "b", "c"]


async def test_the_oldest_go_and_the_client_is_told_once() -> None:
    subscriber = Subscriber(2)
    for message in ("a", "b", "c", "d", "e"):
        subscriber.offer(message)
    assert await subscriber.take() == ['{"dropped": 3}', "d", "e"]
    subscriber.offer("f")
    assert await subscriber.take() == ["f"]


async def test_nothing_is_waited_for() -> None:
    subscriber = Subscriber(2)
    taking = asyncio.create_task(subscriber.take())
    await asyncio.sleep(0)
    assert not taking.done()
    subscriber.offer("a")
    assert await taking == ["a"]
