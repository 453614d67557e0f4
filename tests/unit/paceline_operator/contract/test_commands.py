"""Which word of a command line is the server, and whose options are whose."""

from typing import Any

import pytest
from foreign import app_of, foreign
from paceline_operator.contract.inspected import inspected
from paceline_operator.contract.startline import says_where_to_listen, serves
from paceline_operator.contract.subject import read_subject


def shell(text: str) -> dict[str, Any]:
    return {"command": ["sh", "-c", text]}


@pytest.mark.parametrize(
    ("container", "becomes"),
    [
        (shell("echo Starting gunicorn && exec gunicorn a:b"),
         shell("echo Starting gunicorn && exec paceline serve a:b")),
        (shell("pip install gunicorn && gunicorn a:b"), shell("pip install gunicorn && paceline serve a:b")),
        (shell("# gunicorn\nA=1 /v/bin/gunicorn a:b"), shell("# gunicorn\nA=1 /v/bin/paceline serve a:b")),
        (shell("echo 'now; gunicorn'; exec \\\n uvicorn a:b"),
         shell("echo 'now; gunicorn'; exec \\\n paceline serve a:b")),
        (
            {"command": ["/bin/bash", "-lc"], "args": ["exec gunicorn a:b"]},
            {"command": ["/bin/bash", "-lc"], "args": ["exec paceline serve a:b"]},
        ),
        (
            {"command": ["tini", "--"], "args": ["python", "-m", "uvicorn", "gunicorn:app"]},
            {"command": ["tini", "--"], "args": ["python", "-m", "paceline", "serve", "gunicorn:app"]},
        ),
        ({"command": ["uv", "run", "--no-dev", "gunicorn"]},
         {"command": ["uv", "run", "--no-dev", "paceline", "serve"]}),
        (
            {"command": ["gunicorn"], "args": ["a:b", "--name", "gunicorn"]},
            {"command": ["paceline", "serve"], "args": ["a:b", "--name", "gunicorn"]},
        ),
        ({"command": None, "args": ["exec gunicorn a:b"]}, {"args": ["exec paceline serve a:b"]}),
    ],
)  # fmt: skip
def test_the_word_where_a_command_begins_is_the_server(container: dict[str, Any], becomes: dict[str, Any]) -> None:
    app = app_of(inspected(read_subject(foreign(**container), "app")).mended)

    assert {name: app[name] for name in ("command", "args") if name in app} == becomes


@pytest.mark.parametrize(
    "container",
    [
        {"command": None, "args": ["tail", "/var/log/gunicorn"]},
        shell("if $A; then gunicorn a:b; else uvicorn a:b; fi"),
        shell("paceline serve --help; gunicorn a:b"),
        shell("cat <<E\ngunicorn\nE\ngunicorn a:b"),
        shell("echo gunicorn"),
    ],
)
def test_what_is_not_clear_is_for_a_person(container: dict[str, Any]) -> None:
    manifest = foreign(**container)
    found = inspected(read_subject(manifest, "app"))

    assert [each.by_hand for each in found.findings if each.clause == "command"] == [True]
    for name in ("command", "args"):
        assert app_of(found.mended).get(name) == app_of(manifest).get(name)


def test_a_sidecar_that_reads_a_server_s_log_does_not_serve() -> None:
    manifest = foreign(command=None)
    manifest["spec"]["template"]["spec"]["containers"] = [
        app_of(manifest), {"name": "logs", "args": ["tail", "/var/log/gunicorn"]},
    ]  # fmt: skip
    assert read_subject(manifest).container["name"] == "app"


def test_another_server_beats_ours() -> None:
    assert serves(shell("paceline serve --help; exec gunicorn a:b")) is False


@pytest.mark.parametrize(
    ("container", "says"),
    [
        (shell("exec paceline serve a:b"), False),
        ({"command": ["bash", "-c", "tool -b x && gunicorn a:b"]}, False),
        (shell("exec paceline serve -c conf.py a:b"), True),
        ({"command": ["sh", "-c", 'exec gunicorn "$@"', "--", "-b", ":80"]}, True),
        ({"args": ["--bind", ":80"]}, True),
    ],
)
def test_only_the_server_s_options_are_its_options(container: dict[str, Any], says: bool) -> None:
    assert says_where_to_listen(container) is says
