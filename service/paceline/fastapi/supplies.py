"""What dependencies and endpoints are handed by type: the request, the response's headers, background tasks, scopes."""

from collections.abc import Callable

from fastapi.background import BackgroundTasks
from fastapi.dependencies.models import Dependant, _get_oauth_scopes
from fastapi.security import SecurityScopes

from paceline.fastapi.parameters import Values
from paceline.fastapi.solving import Solving, response_of

Supply = Callable[[Solving, Values], None]


def supplies(dependant: Dependant) -> list[Supply]:
    """In FastAPI's order."""
    requests = (dependant.http_connection_param_name, dependant.request_param_name)
    found = [_request(name) for name in requests if name]
    if name := dependant.background_tasks_param_name:
        found.append(_background_tasks(name))
    if name := dependant.response_param_name:
        found.append(_response(name))
    if name := dependant.security_scopes_param_name:
        found.append(_security_scopes(name, dependant))
    return found


def _request(name: str) -> Supply:
    def supply(solving: Solving, values: Values) -> None:
        values[name] = solving.request

    return supply


def _background_tasks(name: str) -> Supply:
    def supply(solving: Solving, values: Values) -> None:
        if solving.background_tasks is None:
            solving.background_tasks = BackgroundTasks()
        values[name] = solving.background_tasks

    return supply


def _response(name: str) -> Supply:
    def supply(solving: Solving, values: Values) -> None:
        values[name] = response_of(solving)

    return supply


def _security_scopes(name: str, dependant: Dependant) -> Supply:
    def supply(_: Solving, values: Values) -> None:
        values[name] = SecurityScopes(scopes=_get_oauth_scopes(dependant=dependant))

    return supply
