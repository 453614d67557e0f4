"""A compiled handler for a route, or for what an including router made of it."""

from collections.abc import Callable
from typing import Any

from fastapi._body_limit import wrap_app_with_body_limit
from fastapi.routing import _effective_route_context_var, request_response
from starlette.requests import Request
from starlette.responses import Response

from paceline.asgi import Scope
from paceline.fastapi.handler import Handler, as_asgi, compiled


def compiled_handler(route: Any, own: Callable[[Request], Any], *, is_wrapped: bool) -> Callable[[Request], Any]:
    """The handler that FastAPI asks a route for; `own` is the one it would have had.

    Unless a subclass wraps it, the ASGI function that does without the wrapper FastAPI puts around is kept, too.
    """
    inclusion = _effective_route_context_var.get()
    declared = inclusion if inclusion is not None and inclusion.original_route is route else route
    try:
        plan = compiled(declared, route.form_limits)
    except Exception as error:  # whatever it is, FastAPI runs the route
        route.not_compiled = f"compiling it failed: {type(error).__name__}: {error}"
        return own
    if not is_wrapped:
        app = as_asgi(plan, request_response(own))
        declared.paceline_app = wrap_app_with_body_limit(app, declared.max_body_size)
    return _choosing(plan.respond, plan.applies, own)


def _choosing(respond: Handler, applies: Callable[[Scope], bool], own: Callable[[Request], Any]) -> Handler:
    async def handle(request: Request) -> Response:
        response: Response = await (respond if applies(request.scope) else own)(request)
        return response

    return handle
