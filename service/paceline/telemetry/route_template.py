"""The pattern of the route that took a request, mounts included: `/v1/users/{id}`; never a raw path.

Frameworks are known by what they leave in the scope, not by their types. Starlette and FastAPI leave `route`, and for a
mounted application `app_root_path`; Litestar leaves `path_template`. For Quart and Django `framework_routes` leaves it,
and for what a response cache sends, the cache.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

_MAX_ROUTERS: Final = 16
_DEEPEST: Final = 16
"""Mounts within mounts; an application that mounts itself ends here."""


def route_template(scope: Mapping[str, Any]) -> str | None:
    """The pattern, or None where no route took the request or the framework does not say."""
    route = scope.get("route")
    if route is None:
        template = scope.get("path_template")
        if template is None:
            return _by_endpoint(scope) if "endpoint" in scope and "router" in scope else None
    else:
        template = getattr(route, "path", None)
        # FastAPI from 0.118 on: a router that was included keeps its routes, and their whole path is elsewhere.
        fastapi = scope.get("fastapi")
        if fastapi:
            context = fastapi.get("effective_route_context")
            if context is not None and context.original_route is route:
                template = context.path
    if "app_root_path" in scope:
        return _mounted(scope, route, template)
    return template if type(template) is str else None


def _mounted(scope: Mapping[str, Any], route: Any, template: Any) -> str | None:
    """The pattern behind one or more mounts of Starlette."""
    mounts = _mounts(scope)
    below = _below(route)
    if below is not None:  # the route is the last mount
        template = scope.get("path_template")
        if template is None:  # the mount itself is named if nothing further in could name a route
            return None if below or mounts is None else mounts.prefix
    if type(template) is not str:
        return None
    return template if mounts is None else mounts.prefix + template


def _by_endpoint(scope: Mapping[str, Any]) -> str | None:
    """For routers that do not leave the route: the one whose endpoint was called."""
    mounts = _mounts(scope)
    if mounts is None:
        return None
    endpoint = scope["endpoint"]
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    if context is not None and getattr(context.original_route, "endpoint", None) is endpoint:
        return mounts.prefix + str(context.path)
    if mounts.opaque is not None and getattr(mounts.opaque, "app", None) is endpoint:
        return mounts.prefix
    path = str(scope["path"]).removeprefix(str(scope.get("root_path", ""))) or "/"
    for route in mounts.routes:
        if getattr(route, "endpoint", None) is endpoint and _matches(route, path) is not None:
            return mounts.prefix + str(route.path)
    return None


class _Mounts(NamedTuple):
    """Where a chain of mounts leads."""

    prefix: str
    """Their patterns, joined."""
    routes: Iterable[Any]
    """What is below the last one."""
    opaque: Any = None
    """The last one, where nothing below it names routes: files, or an application of another framework."""


class _Tree:
    """The mounts of one outermost router. Fixed prefixes are found once, those with parameters at each request."""

    def __init__(self, router: Any) -> None:
        self.router = router
        self._known: dict[str, _Mounts] = {}

    def mounts(self, path: str, outer: str | None = None) -> _Mounts | None:
        """Those that take up exactly `path`, or None.

        Args:
            outer: what a proxy took before `path`. Given where mounted applications may put a root path of their own in
                place of what their mounts took.
        """
        if not path:
            return _Mounts("", self.router.routes)
        found = self._known.get(path)
        if found is None:
            found = next(_chains(self.router.routes, path, _DEEPEST, None), None)
            if found is None and outer is not None:
                found = next(_chains(self.router.routes, path, _DEEPEST, outer), None)
            if found is not None and "{" not in found.prefix:
                self._known[path] = found
        return found


_trees: dict[int, _Tree] = {}


def _tree(scope: Mapping[str, Any]) -> _Tree:
    router = scope["router"]
    tree = _trees.get(id(router))
    if tree is None:
        if len(_trees) >= _MAX_ROUTERS:
            _trees.clear()
        # It holds the router, so that no other can get its id.
        tree = _trees[id(router)] = _Tree(router)
    return tree


def _mounts(scope: Mapping[str, Any]) -> _Mounts | None:
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    # Else the router looked at the whole path, in which an application's own root path has no part.
    stripped = root and (path + "/").startswith(root + "/")
    outer = str(scope.get("app_root_path", "")) if stripped else None
    return _tree(scope).mounts(_mount_path(scope), outer)


def _chains(routes: Iterable[Any], path: str, depth: int, outer: str | None) -> Iterator[_Mounts]:
    """All chains of mounts that take up `path`; the first is the one that the router takes. `outer`: see `mounts`."""
    for route in routes if depth else ():
        below = _below(route)
        if below is None:
            continue
        match = _matches(route, f"{path}/")
        own = None if outer is None else _own_root(route, outer)
        if own and f"{path}/".startswith(f"{own}/"):
            prefix, rest = own, path[len(own) :]
        elif match is not None:
            prefix, rest = str(route.path), f"/{match['path']}".rstrip("/")
        else:  # `Host` has routes, but no part in the path
            if not hasattr(route, "path"):
                yield from _chains(below, path, depth - 1, outer)
            continue
        if rest:
            deeper = _chains(below, rest, depth - 1, outer)
            yield from (each._replace(prefix=prefix + each.prefix) for each in deeper)
        else:
            yield _Mounts(prefix, below, None if below else route)


def _own_root(route: Any, outer: str) -> str | None:
    """The root path that a mounted application, as FastAPI's, puts in place of what its mounts took."""
    inner = route
    for _ in range(_DEEPEST):
        own = getattr(inner, "root_path", None)
        if type(own) is str and own:
            return own[len(outer) :] if own.startswith(outer) else None
        inner = getattr(inner, "app", None) or getattr(inner, "_app", None)
    return None


def _below(route: Any) -> list[Any] | None:
    """The routes of what is mounted, empty where it does not name any; None where `route` is no mount."""
    if not hasattr(route, "routes"):
        return None
    inner = route
    for _ in range(_DEEPEST):
        below = getattr(inner, "routes", None)
        if isinstance(below, (list, tuple)) and below:
            return list(below)
        # Middleware around the mounted application; what it wraps has one of two names nearly everywhere.
        inner = getattr(inner, "app", None) or getattr(inner, "_app", None)
    return []


def _matches(route: Any, path: str) -> Any:
    pattern = getattr(route, "path_regex", None)
    return None if pattern is None else pattern.match(path)


def _mount_path(scope: Mapping[str, Any]) -> str:
    """What mounts took of the path; a prefix that a proxy took before is not a part of it."""
    root, outer = str(scope.get("root_path", "")), str(scope.get("app_root_path", ""))
    return root[len(outer) :] if "app_root_path" in scope and root.startswith(outer) else ""
