"""Prices for many WebSockets: one subscription of Redis a worker, fanned out to a bounded queue per client.

A client that reads too slowly loses the oldest of what waits for it, and is told how many; it delays nobody. One that
does not even reply to the server's pings is closed by the server.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from paceline_api import cancellation
from paceline_api.client_settings import PriceSettings
from paceline_api.settings import RedisSettings

CHANNEL: Final = "prices"
_RETRY_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 5.0  # so often an idle subscription is asked whether it lives
_HEALTH_SECONDS: Final = 10

logger = logging.getLogger(__name__)


class Subscriber:
    """What one client has not been sent yet: the newest `size` messages."""

    def __init__(self, size: int) -> None:
        self._waiting: deque[str] = deque(maxlen=size)
        self._dropped = 0
        self._arrived = asyncio.Event()

    def offer(self, message: str) -> None:
        """Adds a message; where there is no room, the oldest goes."""
        self._dropped += len(self._waiting) == self._waiting.maxlen
        self._waiting.append(message)
        self._arrived.set()

    async def take(self) -> list[str]:
        """All that waits, at least one; first of all, where some were dropped, `{"dropped": 3}`."""
        await self._arrived.wait()
        self._arrived.clear()
        told = [f'{{"dropped": {self._dropped}}}'] if self._dropped else []
        messages = [*told, *self._waiting]
        self._waiting.clear()
        self._dropped = 0
        return messages


class PriceFeed:
    """The subscription, open while somebody listens.

    It has a connection of its own: one of the tuned pool would be checked out for hours. Each subscription opens a new
    one, since redis-py may lose a connection whose subscription is cancelled while it begins.
    """

    def __init__(self, url: str, settings: PriceSettings) -> None:
        self._url = url
        self._settings = settings
        self._subscribers: set[Subscriber] = set()
        self._reading: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether this worker has as many clients as it may have."""
        return len(self._subscribers) >= self._settings.clients

    @asynccontextmanager
    async def subscribed(self) -> AsyncIterator[Subscriber]:
        """A client's messages, from now on."""
        subscriber = Subscriber(self._settings.queue)
        self._subscribers.add(subscriber)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        try:
            yield subscriber
        finally:
            self._subscribers.remove(subscriber)
            if not self._subscribers:
                await self.close()

    async def close(self) -> None:
        """Ends the subscription; the next client starts it again."""
        reading, self._reading = self._reading, None
        if reading is not None:
            await cancellation.end(reading)

    async def _read(self) -> None:
        """Subscribes, and again whenever Redis was away; what was published meanwhile is not to be had."""
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                logger.warning("prices: %s: %s; subscribing again", type(error).__name__, error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self) -> None:
        async with _client(self._url) as redis, redis.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe(CHANNEL)
            while True:
                message = await subscription.get_message(timeout=_LOOK_SECONDS)
                if message is not None:
                    self._fan_out(message["data"].decode())

    def _fan_out(self, message: str) -> None:
        for subscriber in self._subscribers:
            subscriber.offer(message)


def _client(url: str) -> Redis:
    return Redis.from_url(
        url,
        max_connections=1,
        socket_timeout=2.0,
        socket_keepalive=True,
        health_check_interval=_HEALTH_SECONDS,
        driver_info=None,
    )


@asynccontextmanager
async def open_prices(redis: RedisSettings, settings: PriceSettings) -> AsyncIterator[PriceFeed]:
    """Connects when the first client comes."""
    feed = PriceFeed(redis.url.get_secret_value(), settings)
    yield feed
    await feed.close()
