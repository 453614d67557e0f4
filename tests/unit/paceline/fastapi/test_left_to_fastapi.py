"""What a compiled route leaves to FastAPI: for good, or for a request."""

import logging
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, routing
from fastapi.dependencies.utils import get_parameterless_sub_dependant
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from paceline.fastapi import CompiledRoute, support


def _number() -> int:
    return 1


def _app(**options: Any) -> FastAPI:
    app = FastAPI(**options)
    app.router.route_class = CompiledRoute

    @app.get("/number")
    async def number(number: Annotated[int, Depends(_number)]) -> int:
        return number

    return app


def _route(app: FastAPI) -> Any:
    return app.router.routes[-1]


async def test_an_overridden_dependency_is_replaced_and_comes_back(asked: Any) -> None:
    app = _app()
    app.dependency_overrides[_number] = lambda: 2
    assert (await asked.get(app, "/number")).json() == 2
    assert asked.by_plan == 0
    app.dependency_overrides.clear()
    assert (await asked.get(app, "/number")).json() == 1
    assert asked.by_plan == 1


async def test_an_override_that_a_dependency_installs_counts_at_once(asked: Any) -> None:
    app = _app()

    async def install() -> None:
        app.dependency_overrides[_number] = lambda: 2

    @app.get("/late")
    async def late(_: Annotated[None, Depends(install)], number: Annotated[int, Depends(_number)]) -> int:
        return number

    assert (await asked.get(app, "/late")).json() == 2


@pytest.mark.invariant
async def test_a_dependency_that_a_library_adds_later_is_not_passed_by(asked: Any) -> None:
    app = _app()
    assert (await asked.get(app, "/number")).status_code == 200

    def refuse() -> None:
        raise HTTPException(403)

    added = get_parameterless_sub_dependant(depends=Depends(refuse), path="/number")
    _route(app).dependant.dependencies.append(added)
    assert (await asked.get(app, "/number")).status_code == 403


async def test_fastapis_own_telemetry_has_its_spans(asked: Any) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = _app(telemetry={"tracer_provider": provider})
    assert (await asked.get(app, "/number")).json() == 1
    assert "fastapi.endpoint" in {span.name for span in exporter.get_finished_spans()}
    assert asked.by_plan == 0


async def test_a_generator_streams_as_before(asked: Any) -> None:
    app = _app()

    @app.get("/lines")
    async def lines() -> Any:
        yield {"n": 1}
        yield {"n": 2}

    assert (await asked.get(app, "/lines")).text == '{"n": 1}\n{"n": 2}\n'
    assert _route(app).not_compiled == "its endpoint yields what FastAPI streams"


async def test_an_integration_that_replaced_fastapis_functions_sees_every_request(
    asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    own = routing.run_endpoint_function

    async def replaced(**options: Any) -> Any:
        seen.append(options["values"])
        return await own(**options)

    monkeypatch.setattr(routing, "run_endpoint_function", replaced)
    app = _app()
    assert (await asked.get(app, "/number")).json() == 1
    assert seen == [{"number": 1}]
    assert "fastapi.routing.run_endpoint_function" in _route(app).not_compiled


async def test_another_version_of_fastapi_runs_all_routes_and_one_line_says_so(
    asked: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(support, "TESTED", ("0.99",))
    support._version_reason.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            apps = [_app(), _app()]
        assert [(await asked.get(app, "/number")).json() for app in apps] == [1, 1]
        assert asked.by_plan == 0
        (line,) = [record.message for record in caplog.records if record.name == support.__name__]
        assert line.startswith("no route is compiled: FastAPI 0.")
        assert "0.99.*" in _route(apps[0]).not_compiled
    finally:
        support._version_reason.cache_clear()
