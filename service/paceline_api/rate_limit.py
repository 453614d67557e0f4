"""Limits how often one client may ask what lies below a path, in front of routing: a refusal costs next to nothing.

Pure ASGI. The headers are those of "RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers-10).
"""

import asyncio
import logging
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paceline_api.client_settings import RateLimitSettings
from paceline_api.errors import Problem, TooManyRequests, Unavailable
from paceline_api.problems import response_of
from paceline_api.windows import Quota, Verdict, Windows

_IPV6_PREFIX_BITS: Final = 64  # what one household or one machine is given: all of it is one client
_NO_ADDRESS: Final = "-"
_UNREADABLE: Final = "?"  # all of these are one client, or each new text would have a quota of its own

_UNCOUNTED: Final = Unavailable("requests cannot be counted now; try again")

logger = logging.getLogger(__name__)


def client_key(scope: Scope) -> str:
    """The client's address, an IPv6 one without its lower half. Behind proxies it is what the server put there.

    >>> client_key({"client": ("2001:db8::7", 1234)})
    '2001:db8::/64'
    """
    client = scope.get("client")
    if not client:
        return _NO_ADDRESS  # a Unix socket: all who come that way are one
    address: str = client[0]
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:  # another server's middleware may put anything there
        return _UNREADABLE
    return str(parsed.ipv4_mapped or IPv6Network((parsed, _IPV6_PREFIX_BITS), strict=False))


def headers_of(quota: Quota, verdict: Verdict) -> dict[str, str]:
    """What the client may still do.

    >>> headers_of(Quota("api", 100, 60), Verdict(True, 99, 60))
    {'RateLimit-Policy': '"api";q=100;w=60', 'RateLimit': '"api";r=99;t=60'}
    """
    return {
        "RateLimit-Policy": f'"{quota.name}";q={quota.amount};w={quota.window_seconds}',
        "RateLimit": f'"{quota.name}";r={verdict.remaining};t={verdict.reset_seconds}',
    }


class RateLimit:
    """The windows of all clients, and what becomes of requests while Redis does not count them.

    Args:
        timeout_seconds: longest wait for Redis, which must not make every response slow when it is.
        fail_open: admit requests that could not be counted; else they are refused with 503.
    """

    def __init__(self, windows: Windows, *, timeout_seconds: float, fail_open: bool) -> None:
        self.quota = windows.quota
        self.fail_open = fail_open
        self._windows = windows
        self._timeout_seconds = timeout_seconds
        self._blind = False

    async def verdict(self, client: str) -> Verdict | None:
        """Counts a request; None: Redis could not count it, for whatever reason."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                verdict = await self._windows.hit(client)
        except (RedisError, OSError) as error:
            if not self._blind:
                logger.warning("rate limit %r: not counted: %s: %s", self.quota.name, type(error).__name__, error)
            self._blind = True
            return None
        self._blind = False
        return verdict


def build_rate_limit(redis: Redis, settings: RateLimitSettings) -> RateLimit:
    """The limit of `/api/`."""
    windows = Windows(redis, Quota("api", settings.requests, settings.window_seconds))
    return RateLimit(windows, timeout_seconds=settings.timeout_seconds, fail_open=settings.fail_open)


class RateLimitLayer:
    """Asks the `rate_limit` that the lifespan opened about every request below `prefix`."""

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self.app = app
        self.prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self.prefix):
            return await self.app(scope, receive, send)
        limit: RateLimit = scope["state"]["rate_limit"]
        verdict = await limit.verdict(client_key(scope))
        if verdict is None and limit.fail_open:
            return await self.app(scope, receive, send)
        if verdict is None:
            return await response_of(Request(scope), _UNCOUNTED)(scope, receive, send)
        headers = headers_of(limit.quota, verdict)
        if verdict.admitted:
            return await self.app(scope, receive, _with_headers(headers, send))
        return await response_of(Request(scope), _refused(limit.quota, verdict, headers))(scope, receive, send)


def _with_headers(headers: dict[str, str], send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(headers)
        await send(message)

    return send_with_headers


def _refused(quota: Quota, verdict: Verdict, headers: dict[str, str]) -> Problem:
    retry = {"Retry-After": str(verdict.reset_seconds), **headers}
    return TooManyRequests(
        f"more than {quota.amount} requests in {quota.window_seconds} s; try again in {verdict.reset_seconds} s", retry
    )
