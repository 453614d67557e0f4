"""Answers in front of the framework: a hit costs neither routing nor dependencies nor serialization.

Only answers that are the same for everybody are kept: GET and HEAD, status 200, no credentials in the request, no
cookie in the answer, nothing that its `Cache-Control` or `Vary` speaks against. What a client says in `Cache-Control`
is not heard: it must not be able to make the expensive thing happen.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from math import floor
from typing import Final

from paceline.asgi import ASGIApp, Receive, Scope, Send
from paceline.errors import UsageError
from paceline.middleware.cached_response import CachedResponse, ResponseSerializer
from paceline.middleware.cached_route import CachedRoute, make_key, matcher
from paceline.middleware.shared_fetch import Failed, SharedFetch, Uncached
from paceline.resources.cache.cache import Cache
from paceline.resources.cache.redis import RedisTier
from paceline.resources.registry import RedisClient, Tunables
from paceline.tune import tunables as default_tunables

_READS: Final = frozenset({"GET", "HEAD"})


class ResponseCacheMiddleware:
    """A layer around any ASGI application.

        app = ResponseCacheMiddleware(app, routes={"/prices": CachedRoute(name="prices", ttl=300, query=("page",))})

    Each answer has an `Age` and a `Cache-Status` (RFC 9211). One request a key and process is under way at a time;
    Redis, if there is one, is a second tier for all processes. An application that fails is covered by an answer that
    is no older than TTL and staleness together.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Mapping[str, CachedRoute],
        redis: RedisClient | None = None,
        tunables: Tunables = default_tunables,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Registers the caches by their names.

        Args:
            routes: by path, `/prices`, or by template, `/prices/{id}`.
            redis: a `redis.asyncio.Redis` without `decode_responses`; without it `tunables.cache_redis`, if it is set.
            tunables: the registry, if not the one that `paceline serve` tunes.
            clock: seconds since the epoch.

        Raises:
            UsageError: a duration or a path is wrong, routes that share a name disagree, or the name is taken.
        """
        self._app = app
        self._clock = clock
        self._find = matcher(routes)
        caches: dict[str, Cache] = {}
        for name, paths in _by_name(routes).items():
            tier = RedisTier(name, lambda: redis or tunables.cache_redis, ResponseSerializer)
            caches[name] = _open(paths, routes, tier, clock)
        for cache in caches.values():
            tunables.add_cache(cache)
        self._served = {path: _Served(route, caches[route.name]) for path, route in routes.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _READS or (path := self._find(scope["path"])) is None:
            return await self._app(scope, receive, send)
        scope["path_template"] = path  # for statistics: on a hit no router will say it
        served, condition = self._served[path], b""
        for name, value in scope["headers"]:
            if name in served.bypassed_by:
                return await self._app(scope, receive, send)
            if name == b"if-none-match":
                condition = value
        fetch = SharedFetch(self._app, served.route, scope)
        try:
            return await self._answer(scope, send, served, fetch, condition)
        except Uncached as unkept:
            if unkept.recording is None or not fetch.ran:  # what another's request got is not for this one
                return await self._app(scope, receive, send)
            return await _replay(unkept, send)
        except Failed as failed:
            return await _replay(failed, send)

    async def _answer(self, scope: Scope, send: Send, served: "_Served", fetch: SharedFetch, condition: bytes) -> None:
        cache, key, asked = served.cache, make_key(served.route, scope), self._clock()
        kept: CachedResponse = await cache.get(key, fetch)
        age = cache.age(key) or 0.0
        status = _cache_status(kept is fetch.kept, age, self._clock() - asked, cache.ttl_seconds)
        headers = [*kept.headers, (b"age", b"%d" % age), (b"cache-status", status)]
        if condition and kept.matches(condition):
            return await _not_modified(headers, send)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        return await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else kept.body})


class _Served:
    """What a request for one route needs, made beforehand."""

    __slots__ = ("bypassed_by", "cache", "route")

    def __init__(self, route: CachedRoute, cache: Cache) -> None:
        self.route = route
        self.bypassed_by = route.bypassed_by
        self.cache = cache


async def _replay(answer: Uncached | Failed, send: Send) -> None:
    recording = answer.recording
    assert recording is not None
    await send({"type": "http.response.start", "status": recording.status, "headers": list(recording.headers)})
    await send({"type": "http.response.body", "body": bytes(recording.body)})
    if answer.__cause__ is not None:
        raise answer.__cause__


async def _not_modified(headers: list[tuple[bytes, bytes]], send: Send) -> None:
    without_length = [each for each in headers if each[0] != b"content-length"]
    await send({"type": "http.response.start", "status": 304, "headers": without_length})
    await send({"type": "http.response.body", "body": b""})


def _cache_status(fetched: bool, age: float, waited: float, ttl: float) -> bytes:
    """`Cache-Status` (RFC 9211): `paceline; hit; ttl=12`; a negative ttl says that the answer is stale."""
    if fetched:
        return b"paceline; fwd=miss; stored"
    if age <= waited:  # it was fetched while this request waited
        return b"paceline; fwd=miss; collapsed"
    return b"paceline; hit; ttl=%d" % floor(ttl - age)


def _by_name(routes: Mapping[str, CachedRoute]) -> dict[str, list[str]]:
    paths: dict[str, list[str]] = {}
    for path, route in routes.items():
        paths.setdefault(route.name, []).append(path)
    return paths


def _open(
    paths: Sequence[str], routes: Mapping[str, CachedRoute], redis: RedisTier, clock: Callable[[], float]
) -> Cache:
    first = routes[paths[0]]
    for path in paths[1:]:
        other = routes[path]
        if (other.ttl, other.max_staleness, other.max_entries) != (first.ttl, first.max_staleness, first.max_entries):
            raise UsageError(
                f"ResponseCacheMiddleware: {paths[0]} and {path} share the cache {first.name!r}, but not its times"
            )
    return Cache(
        first.name,
        first.ttl,
        redis=redis,
        max_staleness_seconds=first.max_staleness,
        max_entries=first.max_entries,
        clock=clock,
        origin=f"ResponseCacheMiddleware({', '.join(paths)})",
    )
