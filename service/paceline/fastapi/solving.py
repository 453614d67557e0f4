"""What the dependencies of one request share."""

from typing import Any, Final

from fastapi.background import BackgroundTasks
from starlette.requests import Request
from starlette.responses import Response

REQUEST_STACK: Final = "fastapi_inner_astack"
FUNCTION_STACK: Final = "fastapi_function_astack"
"""Where FastAPI keeps, in the scope, what is to be ended after the response, and after the endpoint."""
FILES_STACK: Final = "fastapi_middleware_astack"


class Solving:
    """What was found so far. FastAPI's functions read `background_tasks` and `response`."""

    __slots__ = ("background_tasks", "body", "cache", "errors", "request", "response")

    def __init__(self, request: Request, body: Any) -> None:
        self.request = request
        self.body = body
        self.errors: list[Any] = []
        self.cache: dict[Any, Any] = {}
        self.background_tasks: BackgroundTasks | None = None
        self.response: Response | None = None

    def is_untouched(self) -> bool:
        """Whether nobody asked for the response or for background tasks."""
        return self.response is None and self.background_tasks is None


def response_of(solving: Solving) -> Response:
    """Where dependencies and endpoint write headers and a status: without length and status of its own."""
    if solving.response is None:
        solving.response = response = Response()
        del response.headers["content-length"]
        response.status_code = None  # type: ignore[assignment]  # FastAPI's way to say: not set
    return solving.response
