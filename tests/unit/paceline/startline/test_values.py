"""Values as they are written, in options, variables and files, and what they become."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from paceline.errors import UsageError
from paceline.startline.resolve import Start, resolve
from paceline.startline.rows import Fate, Row
from paceline.startline.table import ROWS

Resolve = Callable[..., Start]


@pytest.fixture
def start(tmp_path: Path) -> Resolve:
    def resolved(line: str = "shop:app", environment: Mapping[str, str] | None = None) -> Start:
        return resolve(line.split(), environment or {}, tmp_path)

    return resolved


@pytest.mark.invariant
@pytest.mark.parametrize(
    "row",
    [row for row in ROWS if row.fate is Fate.NOT_OFFERED and row.metavar],
    ids=lambda row: " ".join((*row.names, *row.flags)),
)
def test_a_refusal_shows_a_value_only_where_others_would_do(start: Resolve, row: Row) -> None:
    name = row.name_of("uvicorn")
    sources = [(f"shop:app {flag}=hunter2", {}) for flag in row.flags if flag.startswith("--")]
    sources += [("shop:app", {f"UVICORN_{name}".upper(): "hunter2"})] if name else []
    for line, environment in sources:
        with pytest.raises(UsageError, match="is not offered") as refused:
            start(line, environment)
        assert ("hunter2" in str(refused.value)) == bool(row.plain)


@pytest.mark.parametrize(
    ("line", "environment", "settings"),
    [
        ("--umask 0", {}, "0"),
        ("--umask 7", {}, "7"),
        ("--umask 18", {}, "22"),
        ("--umask 077", {}, "77"),
        ("--umask 0o27", {}, "27"),
        ("--umask 0x3f", {}, "77"),
        ("", {"GUNICORN_CMD_ARGS": "-m 18"}, "22"),
        ("", {"GUNICORN_CMD_ARGS": "-m 022"}, "22"),
        ("", {"PACELINE_UMASK": "77"}, "77"),
        ("", {"PACELINE_UMASK": "077"}, "077"),
        ("", {"PACELINE_UMASK": "0o77"}, "0o77"),
        ("", {"PACELINE_UMASK": "22", "GUNICORN_CMD_ARGS": "-m 077"}, "22"),
    ],
)
def test_a_mask_of_ours_is_octal_and_the_option_is_read_as_gunicorn_does(
    start: Resolve, line: str, environment: dict[str, str], settings: str
) -> None:
    assert start(f"shop:app {line}", environment).settings == {"PACELINE_UMASK": settings}


@pytest.mark.parametrize("file", ["-", "/dev/stderr", "/proc/self/fd/2", "/proc/1/fd/2"])
def test_an_error_log_on_standard_error_is_what_there_is(start: Resolve, file: str) -> None:
    found = start(f"shop:app --error-logfile {file}")
    assert (found.settings, found.notes, found.warnings) == ({}, (), ())


def test_an_access_log_on_standard_output_may_be_named_by_its_file(start: Resolve) -> None:
    for file in ("/dev/stdout", "/proc/self/fd/1", "/proc/1/fd/1"):
        assert start(f"shop:app --access-logfile {file}").settings == {"PACELINE_ACCESS_LOG": "auto"}


@pytest.mark.parametrize(("written", "mask"), [("'77'", "77"), ("'077'", "077"), ("0o077", "77"), ("0", "0")])
def test_a_mask_in_our_file_is_octal(start: Resolve, tmp_path: Path, written: str, mask: str) -> None:
    (tmp_path / "paceline.toml").write_text(f"umask = {written}")
    assert start().settings == {"PACELINE_UMASK": mask}


@pytest.mark.parametrize(("written", "mask"), [("0o077", "77"), ("18", "22"), ("'18'", "22"), ("'077'", "77")])
def test_a_mask_in_a_file_of_gunicorn_is_read_as_gunicorn_does(
    start: Resolve, tmp_path: Path, written: str, mask: str
) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(f"umask = {written}")
    assert start().settings == {"PACELINE_UMASK": mask}
