"""`paceline.toml`, `[tool.paceline]` of pyproject.toml and `gunicorn.conf.py`, each as a source of settings."""

import importlib
import runpy
import sys
import tomllib
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from paceline.errors import UsageError
from paceline.startline.arguments import Given
from paceline.startline.known import APPLICATION, PREFIX, separator, variables
from paceline.startline.rows import Fate, Row, nearest
from paceline.startline.sources import Source
from paceline.startline.table import BY_NAME
from paceline.startline.values import text_of

OURS: Final = "paceline.toml"
PYPROJECT: Final = "pyproject.toml"
GUNICORN: Final = "gunicorn.conf.py"
_MASK: Final = "PACELINE_UMASK"


def read_files(asked: str | None, folder: Path) -> list[Source]:
    """What is there of our file and gunicorn's, ours first.

    Args:
        asked: by `-c`: one of the two kinds, told apart by its name; the other is looked for all the same.

    Raises:
        UsageError: a file is not there although it was asked for, does not parse or run, or has keys that nobody knows.
    """
    is_ours = asked is not None and asked.endswith(".toml")
    found = [_ours(asked if is_ours else None, folder), _gunicorn(None if is_ours else asked, folder)]
    return [source for source in found if source is not None]


def _ours(asked: str | None, folder: Path) -> Source | None:
    if asked is not None:
        return from_toml(folder / asked, required=True)
    own, project = folder / OURS, folder / PYPROJECT
    return from_toml(own) if own.is_file() else from_toml(project) if project.is_file() else None


def from_toml(path: Path, *, required: bool = False) -> Source | None:
    """Keys are the names of variables without `PACELINE_`, in lower case; tables add their name: `trace.ratio`."""
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        if path.name == PYPROJECT and not required:  # others say what is wrong with it
            return None
        raise UsageError(f"cannot read {path.name}: {error}") from error
    if path.name == PYPROJECT:
        content = content.get("tool", {}).get("paceline", {})
        if not content:
            return None
    values = dict(_flat(content))
    application = values.pop(APPLICATION, None)
    known = variables()
    for variable in values:
        if variable not in known:
            names = [_key(each) for each in (*known, APPLICATION)]
            raise UsageError(f"{path.name} has no setting {_key(variable)!r}{nearest(_key(variable), names)}")
    given = (Given(_row(variable), value, f"{_key(variable)} in {path.name}") for variable, value in values.items())
    return Source(path.name, tuple(given), application)


def _flat(table: Mapping[str, Any], above: str = PREFIX) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        name = f"{above}{key.replace('-', '_').upper()}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}_")
        else:
            yield name, _text(name, value)


def _text(variable: str, value: Any) -> str:
    if variable == _MASK and isinstance(value, int):
        return f"{value:o}"  # 0o027 of TOML is a number; the variable is octal
    return text_of(value, separator(variable))


def _key(variable: str) -> str:
    return variable.removeprefix(PREFIX).lower()


def _row(variable: str) -> Row:
    """A row for a setting of ours: its value needs no translation."""
    return Row(Fate.SETTING, (), (_key(variable),), (), "VALUE", variable, "", frozenset())


def own(variable: str, value: str) -> Given:
    """A variable of ours from the environment."""
    return Given(_row(variable), value, variable)


def _gunicorn(asked: str | None, folder: Path) -> Source | None:
    if asked is None:
        path = folder / GUNICORN
        return _from_values(_run(path), GUNICORN) if path.is_file() else None
    kind, colon, name = asked.partition(":")
    if f"{kind}{colon}" == "python:":
        return _from_values(_import(name, folder), name)
    path = folder / (name if f"{kind}{colon}" == "file:" else asked)
    if not path.is_file():
        raise UsageError(f"there is no configuration file {asked!r}; name a .toml or a gunicorn.conf.py with --config")
    return _from_values(_run(path), path.name)


def _run(path: Path) -> Mapping[str, Any]:
    sys.path.insert(0, str(path.parent.absolute()))
    try:
        return runpy.run_path(str(path), run_name="__config__")
    except (Exception, SystemExit) as error:
        raise _failed(path.name, error) from error
    finally:
        sys.path.remove(str(path.parent.absolute()))


def _import(name: str, folder: Path) -> Mapping[str, Any]:
    sys.path.insert(0, str(folder.absolute()))
    try:
        return vars(importlib.import_module(name))
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error
    finally:
        sys.path.remove(str(folder.absolute()))


def _failed(name: str, error: BaseException) -> UsageError:
    last = traceback.extract_tb(error.__traceback__)[-1]
    said = " ".join(str(error).split())[:300]
    return UsageError(
        f"{name} does not run: {type(error).__name__}: {said} ({Path(last.filename).name}, line {last.lineno})"
    )


def _from_values(values: Mapping[str, Any], name: str) -> Source:
    given = []
    for key, value in values.items():
        row = BY_NAME.get(f"gunicorn.{key}")
        if row is None or value is None or key in {"config", "wsgi_app"}:  # None: the default stands
            continue
        for each in _several(value) if row.many else [value]:
            given.append(Given(row, text_of(each), f"{key} in {name}"))
    application = values.get("wsgi_app")
    return Source(name, tuple(given), text_of(application) or None)


def _several(value: Any) -> Iterable[Any]:
    """Text is split at its commas, as gunicorn does."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value if isinstance(value, (list, tuple)) else [value]
