"""Whole responses cached in front of the framework. A route sees only what the cache's key holds."""

from paceline.middleware.response_cache.middleware import ResponseCacheMiddleware
from paceline.middleware.response_cache.route import CachedRoute

__all__ = ["CachedRoute", "ResponseCacheMiddleware"]
