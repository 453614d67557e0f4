"""An application that is not there, or is none: the line says what may be meant."""

from pathlib import Path

import pytest
from paceline.errors import UsageError
from paceline.serve.arbiter.preload import load_application

MODULE = """
class Application:
    async def __call__(self, scope, receive, send): ...
async def function_app(scope, receive, send): ...
async def make_later(): return function_app
object_app = Application()
def create_app(kind="plain"):
    if kind == "broken": raise ValueError("no\\nsuch kind")
    return Application()
def wsgi(environ, start_response): ...
def helper(a, b, c): ...
number = 1
"""


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", str(tmp_path)])
    module = f"suggesting_{abs(hash(request.node.name))}"
    (tmp_path / f"{module}.py").write_text(MODULE)
    return module


@pytest.mark.parametrize("expression", ["function_app", "object_app", "create_app()", "create_app('x')"])
def test_what_is_an_application_is_loaded(name: str, expression: str) -> None:
    assert callable(load_application(f"{name}:{expression}"))


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("app", "no attribute 'app'; it has NAME:function_app, NAME:object_app, NAME:create_app()"),
        ("create_app", "call it if it makes the application: NAME:create_app(), or --factory"),
        ("make_later()", "a factory must not be a coroutine function"),
        ("create_app('broken')", "NAME:create_app('broken') fails: ValueError: no such kind (NAME.py, line 8)"),
        ("create_app(1, 2)", "NAME:create_app(1, 2) fails: TypeError: create_app() takes from 0 to 1"),
        ("wsgi", "not a factory or a WSGI application"),
        ("number", "int cannot be called"),
        ("Application", "not a factory or a WSGI application"),
    ],
)
def test_what_is_none_is_said(name: str, expression: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_application(f"{name}:{expression}")
    assert says.replace("NAME", name) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_folders_of_the_application_come_first(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "only_in_src.py").write_text("async def app(scope, receive, send): ...")
    with pytest.raises(UsageError, match="no module 'only_in_src'"):
        load_application("only_in_src:app")
    monkeypatch.setenv("PACELINE_APP_DIR", "nowhere:src")
    assert load_application("only_in_src:app").__name__ == "app"
