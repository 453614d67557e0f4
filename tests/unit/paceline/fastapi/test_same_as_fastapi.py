"""A compiled route and FastAPI's own: the same bytes, the same calls in the same order, whatever is declared."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from asgi_messages import sent_by
from examples import examples
from fastapi import FastAPI, routing
from fastapi.routing import APIRoute
from hypothesis import given, settings
from hypothesis import strategies as st
from paceline.fastapi import CompiledRoute
from random_routes import Described, build, descriptions

VALUES = st.sampled_from(["1", "-3", "x", "", "true", "2.5", "é", "null"])
NAMED = st.lists(st.tuples(st.sampled_from(["a", "b_c", "b-c", "d", "other"]), VALUES), max_size=4)
BODIES = st.one_of(
    st.none(),
    st.sampled_from([b"{", b"null", b"[]", b"7", b'"s"', b'{"a": 1, "b_c": "x", "d": true}', b'{"a": "x"}']),
)
CONTENT_TYPES = st.sampled_from([None, b"application/json", b"application/x+json; charset=utf-8", b"text/plain"])


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A scope, and the body."""
    body, content_type = draw(BODIES), draw(CONTENT_TYPES)
    headers = [(name.encode(), value.encode("latin-1")) for name, value in draw(NAMED)]
    headers += [(b"cookie", "; ".join(f"{name}={value}" for name, value in draw(NAMED)).encode("latin-1"))]
    headers += [(b"content-type", content_type)] if content_type else []
    segments = draw(st.lists(VALUES.filter(bool), min_size=3, max_size=3))
    query = urlencode(draw(NAMED)).encode()
    return {"method": "POST" if body else "GET", "segments": segments, "headers": headers, "query": query, "body": body}


async def _ask(app: FastAPI, request: dict[str, Any]) -> list[Any]:
    route: Any = app.router.routes[-1]
    path = "/x" + "".join(f"/{segment}" for segment in request["segments"][: len(route.param_convertors)])
    return await sent_by(app, request["method"], path, request["query"], request["headers"], request["body"] or b"")


def _built(described: Described, route_class: type[APIRoute], journal: list[str]) -> FastAPI | str:
    try:
        return build(described, route_class, journal)
    except Exception as error:  # what FastAPI does not take, it says when the route is made
        return f"{type(error).__name__}"


@pytest.mark.fuzz
@settings(max_examples=examples(100))
@given(descriptions(), st.lists(requests(), min_size=1, max_size=3))
async def test_every_signature_and_request_gets_the_same_bytes_and_calls(
    described: Described, asked: list[dict[str, Any]]
) -> None:
    routing._endpoint_context_cache.clear()  # by id(): errors would name endpoints of earlier examples
    journals: tuple[list[str], list[str]] = ([], [])
    own, compiled = (
        _built(described, each, journal) for each, journal in zip((APIRoute, CompiledRoute), journals, strict=True)
    )
    if isinstance(own, str) or isinstance(compiled, str):
        assert own == compiled
        return
    route: Any = compiled.router.routes[-1]
    assert route.not_compiled is None
    for request in asked:
        assert await _ask(compiled, request) == await _ask(own, request), json.dumps(str(request))
        assert journals[1] == journals[0]
