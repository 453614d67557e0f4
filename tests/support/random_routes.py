"""Routes with random signatures, built twice from one description: for FastAPI's route class and for another.

What a callable was called with goes to a journal, so that two applications are compared by more than their responses.
"""

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import (
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Path,
    Query,
    Request,
    Response,
)
from fastapi.routing import APIRoute
from hypothesis import strategies as st
from pydantic import BaseModel, Field

KINDS: dict[str, Any] = {
    "int": int,
    "str": str,
    "float": float,
    "bool": bool,
    "short": Annotated[str, Field(max_length=2)],
    "ints": list[int],
    "int or none": int | None,
}
SCALARS = [kind for kind in KINDS if kind != "ints"]
PLACES: dict[str, Any] = {"query": Query, "header": Header, "cookie": Cookie, "path": Path, "body": Body}
REQUIRED = "required"


class Item(BaseModel):
    name: str
    price: float = 1.5
    tags: list[str] = []


@dataclass(frozen=True)
class Parameter:
    name: str
    place: str
    kind: str
    default: Any = REQUIRED


@dataclass(frozen=True)
class Called:
    """A dependency, or the endpoint."""

    name: str
    style: str
    parameters: tuple[Parameter, ...]
    asks: tuple[str, ...]
    below: tuple["Called", ...] = ()
    use_cache: bool = True


@dataclass(frozen=True)
class Described:
    endpoint: Called
    returns: str
    status_code: int | None


PARAMETERS = st.builds(
    Parameter,
    name=st.sampled_from(["a", "b_c", "d"]),
    place=st.sampled_from(["query", "header", "cookie", "path", "body"]),
    kind=st.sampled_from(list(KINDS)),
    default=st.sampled_from([REQUIRED, REQUIRED, None, 7]),
).filter(lambda parameter: parameter.kind in SCALARS or parameter.place in ("query", "header"))


def called(name: str, styles: list[str], below: st.SearchStrategy[tuple[Called, ...]]) -> st.SearchStrategy[Called]:
    return st.builds(
        Called,
        name=st.just(name),
        style=st.sampled_from(styles),
        parameters=st.lists(PARAMETERS, max_size=3, unique_by=lambda parameter: parameter.name).map(tuple),
        asks=st.lists(st.sampled_from(["request", "response", "background"]), max_size=1).map(tuple),
        below=below,
        use_cache=st.booleans(),
    )


@st.composite
def descriptions(draw: st.DrawFn) -> Described:
    """Up to four dependencies, some of them shared, some below others."""
    styles = ["async", "async", "sync", "yield", "fails"]
    made: list[Called] = []
    for number in range(draw(st.integers(0, 4))):
        below = st.lists(st.sampled_from(made), max_size=2).map(tuple) if made else st.just(())
        made.append(draw(called(f"dependency{number}", styles, below)))
    below = st.lists(st.sampled_from(made), max_size=3).map(tuple) if made else st.just(())
    endpoint = draw(called("endpoint", ["async", "async", "sync"], below))
    returns = draw(st.sampled_from(["nothing said", "dict", "item", "response", "wrong"]))
    return Described(endpoint, returns, draw(st.sampled_from([None, None, 201, 204])))


def build(described: Described, route_class: type[APIRoute], journal: list[str]) -> FastAPI:
    """The application with its one route, at every method, below /x."""
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False}, openapi_url=None)
    app.router.route_class = route_class
    functions: dict[Called, Any] = {}
    endpoint = _function(described.endpoint, functions, journal, lambda got: _result(described.returns, got))
    path = "/x" + "".join(f"/{{{name}}}" for name in sorted(_in_path(described.endpoint)))
    options: dict[str, Any] = {"status_code": described.status_code, "methods": ["GET", "POST"]}
    if described.status_code == 204 or described.returns in ("nothing said", "response"):
        options["response_model"] = None
    else:
        options["response_model"] = Item if described.returns in ("item", "wrong") else dict[str, Any]
    app.add_api_route(path, endpoint, **options)
    return app


def _in_path(called: Called) -> set[str]:
    own = {parameter.name for parameter in called.parameters if parameter.place == "path"}
    return own.union(*(_in_path(each) for each in called.below))


def _result(returns: str, got: dict[str, str]) -> Any:
    if returns == "response":
        return Response(repr(got), 202, {"x-own": "1"})
    if returns == "item":
        return {"name": repr(got), "more": 1}
    return {"price": "none"} if returns == "wrong" else {"got": got, "n": [1, None, 2.5]}


def _function(
    called: Called, made: dict[Called, Any], journal: list[str], result: Callable[[dict[str, str]], Any]
) -> Any:
    def note(values: dict[str, Any]) -> dict[str, str]:
        got = {name: _shown(value) for name, value in values.items()}
        journal.append(f"{called.name} {got}")
        _use(called.name, values)
        return got

    async def awaited(**values: Any) -> Any:
        return result(note(values))

    async def failing(**values: Any) -> Any:
        raise HTTPException(418, repr(note(values)), {"x-failed": called.name})

    def threaded(**values: Any) -> Any:
        return result(note(values))

    async def entered(**values: Any) -> Any:
        try:
            yield result(note(values))
        finally:
            journal.append(f"{called.name} ends")

    function: Any = {"async": awaited, "sync": threaded, "yield": entered, "fails": failing}[called.style]
    function.__signature__ = inspect.Signature(_signature(called, made, journal))
    return function


def _use(name: str, values: dict[str, Any]) -> None:
    """What was asked for leaves its traces in the response."""
    if "response" in values:
        values["response"].headers[f"x-{name}"] = "set"
    if "background" in values:
        values["background"].add_task(asyncio.sleep, 0)


def _shown(value: Any) -> str:
    return type(value).__name__ if isinstance(value, Request | Response | BackgroundTasks) else repr(value)


def _signature(called: Called, made: dict[Called, Any], journal: list[str]) -> list[inspect.Parameter]:
    asked: dict[str, Any] = {"request": Request, "response": Response, "background": BackgroundTasks}
    found = [_parameter(name, asked[name]) for name in called.asks]
    for number, each in enumerate(called.below):
        if each not in made:
            made[each] = _function(each, made, journal, lambda got: got)
        found.append(_parameter(f"below{number}", Annotated[Any, Depends(made[each], use_cache=each.use_cache)]))
    return found + [_declared(parameter) for parameter in called.parameters]


def _declared(parameter: Parameter) -> inspect.Parameter:
    annotation = Annotated[KINDS[parameter.kind], PLACES[parameter.place]()]
    if parameter.default == REQUIRED or parameter.place == "path":
        return _parameter(parameter.name, annotation)
    return _parameter(parameter.name, annotation, default=parameter.default)


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
