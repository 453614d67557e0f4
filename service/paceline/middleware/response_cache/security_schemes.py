"""Security schemes of cached routes whose header the cache's key does not hold, as the OpenAPI document names them.

Knows no framework: whatever has an `openapi()` is asked.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from paceline.middleware.response_cache.middleware import ResponseCacheMiddleware
from paceline.middleware.response_cache.paths import same_shape
from paceline.middleware.response_cache.route import CachedRoute

_MOST_WRAPPERS = 50


def undeclared_credentials(application: Any, objects: Iterable[Any]) -> list[str]:
    """A line for each cached route and scheme. Finds the middleware among `objects`, the documents from `application`
    inward."""
    routes: dict[str, CachedRoute] = {}
    for each in objects:
        if type(each) is ResponseCacheMiddleware:
            routes |= each.routes
    if not routes:
        return []
    documents = list(_documents(application))
    return sorted(
        {
            line
            for template, route in routes.items()
            for prefix, document in documents
            for path, operations in (document.get("paths") or {}).items()
            if same_shape(path, template) or same_shape(prefix + path, template)
            for line in _lines(template, route, operations, document)
        }
    )


def _documents(application: Any, prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The document of each application in it, with the path where it is mounted."""
    inner = application
    for _ in range(_MOST_WRAPPERS):
        if inner is None or callable(getattr(inner, "openapi", None)):
            break
        inner = getattr(inner, "app", None) or getattr(inner, "_app", None)
    if inner is None or not callable(getattr(inner, "openapi", None)):
        return
    yield prefix, inner.openapi()
    for mounted in getattr(inner, "routes", ()):
        if not hasattr(mounted, "methods") and hasattr(mounted, "path"):
            yield from _documents(getattr(mounted, "app", None), prefix + mounted.path)


def _lines(
    template: str, route: CachedRoute, operations: Mapping[str, Any], document: Mapping[str, Any]
) -> Iterator[str]:
    operation = operations.get("get") or {}
    schemes = (document.get("components") or {}).get("securitySchemes") or {}
    for requirement in operation.get("security", document.get("security")) or ():
        for name in requirement:
            where, what = _credential(schemes.get(name) or {})
            if what and not _is_declared(route, where, what):
                yield (
                    f"cached route {template}: the security scheme {name} reads the {where} {what}, which CachedRoute "
                    f"does not declare: {_ADVICE[where]}"
                )


_ADVICE: Mapping[str, str] = {
    "header": "name it in headers (a response for each value), in bypass (such requests are never cached) or in ignore",
    "cookie": "name it in cookies (a response for each value), or cookie in ignore; requests with it bypass the cache",
    "query parameter": "cached responses are made without it; name it in query (a response for each value)",
}


def _credential(scheme: Mapping[str, Any]) -> tuple[str, str]:
    """Where a scheme looks, and for what; an empty name where it looks at no part of the request that has one."""
    match scheme.get("type"):
        case "apiKey":
            where = {"header": "header", "cookie": "cookie", "query": "query parameter"}.get(str(scheme.get("in")), "")
            return where, str(scheme.get("name", "")) if where else ""
        case "http" | "oauth2" | "openIdConnect":
            return "header", "Authorization"
    return "", ""


def _is_declared(route: CachedRoute, where: str, what: str) -> bool:
    declared = {each.lower() for each in (*route.headers, *route.bypass, *route.ignore)}
    if where == "header":
        return what.lower() in declared
    if where == "cookie":
        return what in route.cookies or "cookie" in declared
    return what in route.query
