"""Made-up prices, for development: one worker of a pod publishes them, as often as `API_PRICES_TICKER_SECONDS` says."""

import asyncio
import random
from typing import Final

import orjson
from redis.asyncio import Redis

from paceline_api.prices import CHANNEL
from paceline_api.settings import load_settings

_START_CENTS: Final = {"LAMP": 4_900, "KETTLE": 3_450, "CHAIR": 12_900}
_LARGEST_STEP_CENTS: Final = 50


async def publish_prices() -> None:
    """Walks each price at random until it is cancelled."""
    settings = load_settings()
    if not settings.prices.ticker_seconds:
        return
    cents, steps = dict(_START_CENTS), random.Random()  # noqa: S311 # nobody must not guess them
    url = settings.redis.url.get_secret_value()
    async with Redis.from_url(url, max_connections=1, socket_timeout=2.0, driver_info=None) as redis:
        while True:
            for symbol, price in cents.items():
                cents[symbol] = max(1, price + steps.randint(-_LARGEST_STEP_CENTS, _LARGEST_STEP_CENTS))
                await redis.publish(CHANNEL, orjson.dumps({"symbol": symbol, "price_cents": cents[symbol]}))
            await asyncio.sleep(settings.prices.ticker_seconds)
