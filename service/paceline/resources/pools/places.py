"""Where an application makes its pools: remembered for `paceline check`, which starts before any driver is loaded."""

import builtins
import functools
import sys
import sysconfig
from collections.abc import Callable, Collection
from pathlib import Path
from types import FrameType
from typing import Any, Final

_LIBRARIES: Final = (
    *(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    f"{Path(__file__).parents[2]}/",
    "<",
)


class Places:
    """Notes the line of the application under which each object of some classes was made."""

    def __init__(self, kinds: Collection[str]) -> None:
        """
        Args:
            kinds: full names of classes.
        """
        self._kinds = kinds
        self._of: dict[int, str] = {}

    def watch(self) -> None:
        """From now on; classes that exist already are not watched. For a process that only looks at an application."""
        build: Callable[..., Any] = builtins.__build_class__

        def build_watched(body: Any, name: str, /, *bases: Any, **options: Any) -> Any:
            kind = build(body, name, *bases, **options)
            if f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', '')}" in self._kinds:
                self._note_instances(kind)
            return kind

        builtins.__build_class__ = build_watched

    def of(self, made: object) -> str:
        """`file:line`, relative where it can be; empty if it is not known."""
        return self._of.get(id(made), "")

    def _note_instances(self, kind: Any) -> None:
        initialise = kind.__init__

        @functools.wraps(initialise)
        def noting(made: Any, *arguments: Any, **options: Any) -> None:
            self._of[id(made)] = _application_line()
            initialise(made, *arguments, **options)

        kind.__init__ = noting


def _application_line() -> str:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        filename = frame.f_code.co_filename
        if not filename.startswith(_LIBRARIES):
            path = Path(filename)
            return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
