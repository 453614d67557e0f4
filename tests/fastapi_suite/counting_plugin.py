"""A pytest plugin for FastAPI's own test suite: makes CompiledRoute the class of every route, and counts.

Without `--compiled-routes` it changes nothing. It runs in the suite's environment, not in ours.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, APIRouter

COUNTED: Counter[str] = Counter()
REASONS: Counter[str] = Counter()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--compiled-routes", action="store_true", help="make CompiledRoute the default route class")
    parser.addoption("--counts", help="the file that counts are written to")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--compiled-routes"):
        _make_default()
        _count_requests()
    _count_routes()


def _make_default() -> None:
    """The default of the argument itself, so that the applications and routers of every test take it."""
    from paceline.fastapi import CompiledRoute
    from paceline.fastapi.finder import find_by_index

    defaults: Any = APIRouter.__init__.__kwdefaults__
    defaults["route_class"] = CompiledRoute
    made = FastAPI.__init__

    def finding(app: FastAPI, *arguments: Any, **options: Any) -> None:
        made(app, *arguments, **options)
        find_by_index(app.router)

    FastAPI.__init__ = finding  # type: ignore[method-assign]


def _count_routes() -> None:
    made = APIRoute.__init__

    def counted(route: Any, *arguments: Any, **options: Any) -> None:
        made(route, *arguments, **options)
        reason = getattr(route, "not_compiled", f"its class is {type(route).__name__}")
        COUNTED["routes"] += 1
        COUNTED["compiled"] += reason is None
        if reason is not None:
            REASONS[reason] += 1

    APIRoute.__init__ = counted  # type: ignore[method-assign]


def _count_requests() -> None:
    """Of compiled routes: answered by the plan, or by FastAPI's own handler."""
    from paceline.fastapi import handler

    planned = handler._applies

    def applies(*arguments: Any) -> Any:
        decide = planned(*arguments)

        def decided(scope: Any) -> bool:
            applied = decide(scope)
            COUNTED["answered" if applied else "left to FastAPI"] += 1
            return applied

        return decided

    handler._applies = applies
    _count_found()


def _count_found() -> None:
    """Requests whose route the index found; the rest FastAPI searched for."""
    from paceline.fastapi.finder import RouteFinder

    find = RouteFinder._find

    def finding(finder: Any, scope: Any) -> Any:
        found = find(finder, scope)
        COUNTED["searched" if found is None else "found"] += 1
        return found

    RouteFinder._find = finding  # type: ignore[method-assign]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One line of JSON a process: with -n, each has seen a part."""
    if path := session.config.getoption("--counts"):
        with Path(path).open("a") as counts:
            counts.write(json.dumps({**COUNTED, "reasons": dict(REASONS)}) + "\n")
