"""Has Quart and Django leave the route of a request in its scope, as `path_template`, the way Litestar does.

Neither leaves it by itself. A framework that the application has not loaded is not touched, and never imported.
"""

import re
import sys
from functools import lru_cache, wraps
from typing import Any, Final

_DJANGO_HANDLERS: Final = "django.core.handlers.base"
_FOLLOWED: Final = "_leaves_route"
_ANCHOR: Final = re.compile(r"(?<![^/])\^|\$$|\\Z$")
_MOST_ROUTES: Final = 1000


def name_routes() -> None:
    """Call it when the application is loaded, and again when it may have loaded more; calls in between do no harm."""
    if (signals := sys.modules.get("quart.signals")) is not None:
        signals.request_started.connect(_leave_route_of_quart)
    if (handlers := sys.modules.get(_DJANGO_HANDLERS)) is not None:
        _follow_django(handlers)


async def _leave_route_of_quart(app: Any, **others: Any) -> None:
    """Receives a signal. As a coroutine function, since Quart runs any other function in a thread."""
    request = sys.modules["quart"].request
    rule, scope = request.url_rule, getattr(request, "scope", None)
    if rule is not None and scope is not None:
        scope["path_template"] = rule.rule


def _follow_django(handlers: Any) -> None:
    """Django has no signal after it has found the route, and settings say which middleware there is."""
    handler = getattr(handlers, "BaseHandler", None)
    resolve = getattr(handler, "resolve_request", None)
    if handler is None or resolve is None or hasattr(resolve, _FOLLOWED):
        return

    @wraps(resolve)
    def resolve_and_leave(self: Any, request: Any) -> Any:
        match = resolve(self, request)
        scope = getattr(request, "scope", None)  # a request by WSGI has none
        if scope is not None:
            scope["path_template"] = _django_template(str(getattr(match, "route", "")))
        return match

    setattr(resolve_and_leave, _FOLLOWED, True)
    handler.resolve_request = resolve_and_leave


@lru_cache(_MOST_ROUTES)
def _django_template(route: str) -> str:
    """`/orders/<int:order>/`; of a route that is a regular expression, without its anchors."""
    return "/" + _ANCHOR.sub("", route)
