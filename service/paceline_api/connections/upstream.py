"""Another service, asked over HTTP: one pooled client, a deadline, retries with jitter.

Only calls that may be repeated are here. One that changes something needs an idempotency key before it may join them.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final, TypeVar

import aiohttp
import stamina
from paceline import tune
from pydantic import BaseModel, ValidationError
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from paceline_api.errors import UpstreamFailed, UpstreamTooSlow
from paceline_api.settings import UpstreamSettings

logger = logging.getLogger(__name__)

Shape = TypeVar("Shape", bound=BaseModel)

_PASSING: Final = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})


@asynccontextmanager
async def open_upstream(settings: UpstreamSettings) -> AsyncIterator["Upstream | None"]:
    """Connects on first use; None where no address is set."""
    if settings.url is None:
        yield None
        return
    # The default hooks would load prometheus_client on the event loop, at the first retry.
    set_on_retry_hooks([_log_retry])
    connector = aiohttp.TCPConnector(limit=settings.cap)
    timeout = aiohttp.ClientTimeout(total=settings.attempt_seconds)
    async with aiohttp.ClientSession(
        settings.url, connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), raise_for_status=True
    ) as session:
        yield Upstream(tune.pool(session, name="upstream", limit=settings.limit), settings)


class Upstream:
    """Asks the upstream; every call ends within the deadline, all its attempts and the wait for a connection included.

    An attempt that fails in a way that may pass is repeated after 50 ms, then 100 ms, and up to 50 ms more by chance,
    lest all who failed together come back together.
    """

    def __init__(self, session: aiohttp.ClientSession, settings: UpstreamSettings) -> None:
        self._session = session
        self._deadline_seconds = settings.deadline_seconds
        self._retrying = stamina.AsyncRetryingCaller(
            attempts=settings.attempts, timeout=None, wait_initial=0.05, wait_max=0.5, wait_jitter=0.05
        ).on(_may_pass)

    async def get(self, path: str, shape: type[Shape]) -> Shape | None:
        """What the upstream says at `path`; None where it knows no such thing.

        Raises:
            UpstreamFailed: nobody listens, or the response is an error or has another shape.
            UpstreamTooSlow: no response within the deadline.
        """
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return shape.model_validate_json(await self._retrying(self._attempt, path))
        except TimeoutError as error:
            raise UpstreamTooSlow(f"upstream: no response to {path} within the deadline") from error
        except aiohttp.ClientResponseError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise UpstreamFailed(f"upstream: {path} returned status {error.status}") from error
        except aiohttp.ClientError as error:
            raise UpstreamFailed("upstream: it cannot be reached") from error
        except ValidationError as error:
            raise UpstreamFailed(f"upstream: {path} returned something other than agreed") from error

    async def _attempt(self, path: str) -> bytes:
        async with self._session.get(path) as response:
            return await response.read()


def _log_retry(details: RetryDetails) -> None:
    text = "upstream: attempt %d failed, again in %.2f s: %r"
    logger.info(text, details.retry_num, details.wait_for, details.caused_by)


def _may_pass(error: Exception) -> bool:
    """Whether the same request may well succeed a moment later."""
    if isinstance(error, aiohttp.ClientResponseError):
        return error.status in _PASSING
    return isinstance(error, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError))
