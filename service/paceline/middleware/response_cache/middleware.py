"""Whole responses in front of the framework: a hit costs neither routing nor dependencies nor serialization.

A route sees only what its key holds, so a response cannot hold anything of another client's request. What cannot be
shown to all (credentials, a user that middleware in front set) bypasses the cache. A client's `no-cache` is not
honoured: a client must not be able to make the expensive thing happen to others.
"""

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from math import floor
from typing import Final

from paceline.asgi import ASGIApp, Receive, Scope, Send
from paceline.errors import UsageError
from paceline.middleware.response_cache.fetch import Failed, SharedFetch, Uncached
from paceline.middleware.response_cache.paths import matcher, path_within, template_within
from paceline.middleware.response_cache.placeholders import Placeholders
from paceline.middleware.response_cache.response import CachedResponse, ResponseSerializer
from paceline.middleware.response_cache.route import CachedRoute
from paceline.middleware.response_cache.served import Served
from paceline.middleware.response_cache.surroundings import Surroundings
from paceline.resources.cache.cache import Cache
from paceline.resources.cache.redis import RedisTier
from paceline.resources.registry import RedisClient, Tunables
from paceline.tune import tunables as default_tunables

_READS: Final = frozenset({"GET", "HEAD"})
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


class ResponseCacheMiddleware:
    """Middleware around any ASGI application.

        app = ResponseCacheMiddleware(app, routes={"/prices": CachedRoute(name="prices", ttl=300, query=("page",))})

    Each cached response has an `Age` and a `Cache-Status` (RFC 9211). One request a key and process is under way at a
    time; Redis, if there is one, is a second tier for all processes. While the application fails, a response that is
    no older than TTL and staleness together is used.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Mapping[str, CachedRoute],
        host: str | None = None,
        shared: Collection[str] = (),
        redis: RedisClient | None = None,
        tunables: Tunables = default_tunables,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Registers the caches by their names.

        Args:
            routes: by path, `/prices`, or by template, `/prices/{id}`.
            host: the `Host` that routes see, such as `api.example.com` or `localhost:8000`. Without it, a response
                that holds an absolute link to the application is not cached.
            shared: entries of the scope, or of its `state`, that middleware in front sets the same for all clients.
            redis: a `redis.asyncio.Redis` without `decode_responses`; without it `tunables.cache_redis`, if it is set.
            tunables: the registry, if not the one that `paceline serve` tunes.
            clock: seconds since the epoch.

        Raises:
            UsageError: a duration, a path or the host is wrong, routes that share a name disagree, or the name is
                taken.
        """
        if host is not None and not _HOST.fullmatch(host):
            raise UsageError(f"ResponseCacheMiddleware: host must be a name with or without a port, got {host!r}")
        self._app = app
        self._clock = clock
        self.routes: Final = dict(routes)
        self._find = matcher(routes)
        caches: dict[str, Cache] = {}
        for name, paths in _by_name(routes).items():
            tier = RedisTier(name, lambda: redis or tunables.cache_redis, ResponseSerializer, registry=tunables)
            caches[name] = _open(paths, routes, tier, clock)
        for cache in caches.values():
            tunables.add_cache(cache)
        self._surroundings = Surroundings(shared)
        placeholders = Placeholders()
        self._served = {
            path: Served(
                path,
                route,
                caches[route.name],
                host=host,
                placeholders=placeholders,
                surroundings=self._surroundings,
                clock=clock,
            )
            for path, route in routes.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _READS:
            if scope["type"] == "lifespan":
                self._surroundings.started(scope)
            return await self._app(scope, receive, send)
        path = self._find(scope["path"])
        if path is None and (not scope.get("root_path") or (path := self._find(path_within(scope))) is None):
            return await self._app(scope, receive, send)
        served = self._served[path]
        if (personal := self._surroundings.personal(scope)) is not None:
            served.say(f"middleware in front sets {personal}; put the cache in front of it, or name it in shared=")
            return await self._app(scope, receive, send)
        bypass, origin, etags = served.read(scope)
        if bypass is not None:
            served.bypassed(bypass)
            return await self._app(scope, receive, send)
        key, shown = served.key(scope, origin)
        passed = bool(served.passes) and served.is_passed(key)
        if not passed and (entry := served.cache.fresh(key, now := self._clock())) is not None:
            headers = _headers(entry.value, served.cache.ttl_seconds, False, now, now)
            scope["path_template"] = self._template(scope, served) if shown.line.root_path else served.path
            return await _send(scope, send, entry.value, headers, etags)
        return await self._respond(scope, receive, send, served, origin, etags)

    async def _respond(
        self, scope: Scope, receive: Receive, send: Send, served: Served, origin: bytes | None, etags: bytes
    ) -> None:
        key, shown = served.key(scope, origin)
        if served.passes and served.is_passed(key):
            return await self._app(scope, receive, send)
        clock = self._clock
        fetch, asked = SharedFetch(self._app, scope, served, key, shown), clock()
        try:
            cached: CachedResponse = await served.cache.get(key, fetch)
            fetched = cached is fetch.fetched
            headers = _headers(cached, served.cache.ttl_seconds, fetched, asked, clock())
            # For statistics: on a hit no router says it.
            scope["path_template"] = self._template(scope, served) if shown.line.root_path else served.path
            await _send(scope, send, cached, headers, etags)
            if fetched:
                await fetch.end()
        except Uncached:
            if origin is not None and served.key(scope, origin)[0] != key:  # it turned out not to matter
                return await self._respond(scope, receive, send, served, origin, etags)
            return await self._app(scope, receive, send)
        except Failed as failed:
            scope["path_template"] = self._template(scope, served)
            body = b"" if scope["method"] == "HEAD" else failed.body
            await send({"type": "http.response.start", "status": failed.status, "headers": list(failed.headers)})
            await send({"type": "http.response.body", "body": body})
            await fetch.end()
        except BaseException:
            scope["path_template"] = self._template(scope, served)
            raise
        finally:
            fetch.leave()

    def _template(self, scope: Scope, served: Served) -> str:
        """The declared template as the innermost mount has it; the mount's own prefix is in the scope."""
        declared_whole = self._find(scope["path"]) == served.path
        return template_within(scope, served.path) if declared_whole else served.path


async def _send(
    scope: Scope, send: Send, cached: CachedResponse, headers: list[tuple[bytes, bytes]], etags: bytes
) -> None:
    status, body = 200, b"" if scope["method"] == "HEAD" else cached.body
    if etags and cached.matches(etags):
        status, body = 304, b""
        headers = [each for each in headers if each[0] != b"content-length"]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _headers(cached: CachedResponse, ttl: float, fetched: bool, asked: float, now: float) -> list[tuple[bytes, bytes]]:
    """With `Age` and `Cache-Status` (RFC 9211), whose negative ttl says that the response is stale."""
    age = now - cached.created_at
    if age < 0:
        age = 0.0  # another machine's clock is ahead
    if fetched:
        status = b"paceline; fwd=miss; stored"
    elif cached.created_at >= asked:  # it was fetched while this request waited
        status = b"paceline; fwd=miss; collapsed"
    else:
        status = b"paceline; hit; ttl=%d" % floor(ttl - age)
    return [*cached.headers, (b"age", b"%d" % age), (b"cache-status", status)]


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
