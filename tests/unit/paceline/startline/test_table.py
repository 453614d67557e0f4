"""The table knows every setting of the installed servers, so that a new one fails here until somebody has decided."""

from collections import Counter
from collections.abc import Mapping

import pytest
from paceline.settings import GROUPS
from paceline.startline.installed import gunicorn_settings, uvicorn_settings
from paceline.startline.known import variables
from paceline.startline.rows import Fate
from paceline.startline.table import BY_FLAG, BY_NAME, ROWS

SERVERS = {"gunicorn": gunicorn_settings(), "uvicorn": uvicorn_settings()}
ACTIONS = {"application", "factory", "config", "chdir", "env", "env_file", "print", "version", "help"}
PARTS = {"host", "port", "uds", "fd"}


@pytest.mark.parametrize("server", SERVERS)
def test_every_setting_of_the_installed_server_is_classified_with_its_options(server: str) -> None:
    missing = {name for name in SERVERS[server] if f"{server}.{name}" not in BY_NAME}
    assert not missing, f"say in startline/table.py what becomes of {sorted(missing)}"
    unknown = {flag for flags in SERVERS[server].values() for flag in flags} - BY_FLAG.keys()
    assert not unknown, f"say in startline/table.py what becomes of {sorted(unknown)}"


@pytest.mark.parametrize("server", SERVERS)
def test_an_option_belongs_to_the_row_of_its_setting(server: str) -> None:
    installed: Mapping[str, tuple[str, ...]] = SERVERS[server]
    strays = [
        (name, flag)
        for name, flags in installed.items()
        for flag in flags
        if BY_FLAG[flag] is not BY_NAME[f"{server}.{name}"] and flag not in {"--version"}
    ]
    assert strays == []


def test_no_option_and_no_name_is_there_twice() -> None:
    flags = Counter(flag for row in ROWS for flag in (*row.flags, *row.off))
    names = Counter(name for row in ROWS for name in row.names)
    assert [each for each, count in (flags + names).items() if count > 1] == []


def test_what_a_row_becomes_is_there() -> None:
    assert {row.becomes for row in ROWS if row.fate is Fate.SETTING} <= variables().keys() | PARTS
    assert {row.becomes for row in ROWS if row.fate is Fate.ACTION} == ACTIONS


def test_every_row_says_something() -> None:
    assert [row for row in ROWS if len(row.says) < 10] == []


def test_variables_are_those_of_the_groups() -> None:
    assert {"PACELINE_BIND", "PACELINE_TRACE_RATIO", "PACELINE_CACHE_NAMESPACE", "PACELINE_WS_MAX_BYTES"} <= {
        *variables()
    }
    assert not any(name.startswith("OTEL_") for name in variables())
    assert len(variables()) == sum(len(group.model_fields) for name, group in GROUPS.items() if name != "opentelemetry")
