"""A route's handler, composed of its parts, and the ASGI function around it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi._compat import Undefined
from fastapi.datastructures import DefaultPlaceholder
from fastapi.exceptions import EndpointContext, RequestValidationError
from fastapi.routing import _extract_endpoint_context, request_response
from fastapi.security.base import SecurityBase
from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.requests import Request
from starlette.responses import Response

from paceline.asgi import ASGIApp, Message, Receive, Scope, Send
from paceline.fastapi.body import receiver
from paceline.fastapi.calling import is_generator
from paceline.fastapi.dependencies import Surroundings, shared_keys, solver, within
from paceline.fastapi.overridden import NothingOverridden
from paceline.fastapi.responses import JSONBytes, respond_with
from paceline.fastapi.solving import Solving

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A route's handler, and when FastAPI's own takes its place."""

    respond: Handler
    applies: Callable[[Scope], bool]
    """Whether it may serve this request: no dependency is overridden, FastAPI's own telemetry does not look on."""
    needs_stacks: bool
    """Whether something may want the exit stacks that FastAPI keeps in the scope."""


def compiled(route: Any, form_limits: Any) -> Compiled:
    """Of a route, or of what an including router made of it."""
    dependants = [route.dependant, *within(route.dependant)]
    provider = route.dependency_overrides_provider or NothingOverridden
    return Compiled(_responder(route, form_limits, provider), _applies(route.dependant, provider), _stacked(dependants))


def _responder(route: Any, form_limits: Any, provider: Any) -> Handler:
    dependant, context, strict = route.dependant, _context(route.dependant), route.strict_content_type
    strict = strict.value if isinstance(strict, DefaultPlaceholder) else strict
    receive = receiver(route.body_field, strict=strict, form_limits=form_limits, context=context)
    solve = solver(dependant, Surroundings(provider, shared_keys(dependant), route._embed_body_fields))
    finish = respond_with(route, context)

    async def respond(request: Request) -> Response:
        body = Undefined if receive is None else await receive(request)
        solving, values = Solving(request, body), dict[str, Any]()
        await solve(solving, values)
        if solving.errors:
            refused = None if body is Undefined else body
            raise RequestValidationError(solving.errors, body=refused, endpoint_ctx=context(request))
        return await finish(solving, values)

    return respond


def _context(dependant: Any) -> Callable[[Request], EndpointContext]:
    """Where the endpoint is, for messages of errors: looked up when there is one."""

    def context(request: Request) -> EndpointContext:
        found = _extract_endpoint_context(dependant.call)
        if dependant.path:
            found["path"] = f"{request.method} {request.scope.get('root_path', '').rstrip('/')}{dependant.path}"
        return found

    return context


def _stacked(dependants: list[Any]) -> bool:
    """Something is entered and ended, or somebody is handed the scope and may look for the stacks there."""
    return any(is_generator(each.call) or _sees_the_scope(each) for each in dependants)


def _sees_the_scope(dependant: Any) -> bool:
    asks = dependant.request_param_name or dependant.http_connection_param_name
    is_fastapis = isinstance(dependant.call, SecurityBase) and type(dependant.call).__module__.startswith("fastapi.")
    return bool(asks) and not is_fastapis


def _applies(dependant: Any, provider: Any) -> Callable[[Scope], bool]:
    planned = list(dependant.dependencies)

    def applies(scope: Scope) -> bool:
        return (
            not provider.dependency_overrides
            and scope.get("fastapi.telemetry") is None
            and dependant.dependencies == planned  # libraries add some after the fact
        )

    return applies


def as_asgi(plan: Compiled, otherwise: ASGIApp) -> ASGIApp:
    """The route as an ASGI function; `otherwise` is FastAPI's own, for requests that the plan does not apply to."""
    applies = plan.applies
    run = request_response(plan.respond) if plan.needs_stacks else _without_stacks(plan.respond)

    def app(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return (run if applies(scope) else otherwise)(scope, receive, send)

    return app


def _without_stacks(respond: Handler) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request, started = Request(scope, receive, send), False
        try:
            response = await respond(request)
            if type(response) is JSONBytes:
                started = True
                await send(
                    {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
                )
                await send({"type": "http.response.body", "body": response.body})
                return

            async def sent(message: Message) -> None:
                nonlocal started
                started = started or message["type"] == "http.response.start"
                await send(message)

            await response(scope, receive, sent)
        except Exception as error:
            await _handle(error, request, started=started)(scope, receive, send)

    return app


def _handle(error: Exception, request: Request, *, started: bool) -> ASGIApp:
    """What Starlette does about an error in a route, after the fact."""

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        if started:
            await send({"type": "http.response.start"})  # for its own record: it goes no further
        raise error

    async def nowhere(message: Message) -> None:
        """The client has its response already."""

    async def handled(scope: Scope, receive: Receive, send: Send) -> None:
        await wrap_app_handling_exceptions(fail, request)(scope, receive, nowhere if started else send)

    return handled
