"""The last screen as an SVG: `paceline up --picture FILE`. The README shows one."""

import io
import re
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from paceline.errors import UsageError
from paceline.local.progress import Progress
from paceline.local.view import Facts, View, render

_COLUMNS: Final = 120
_FONT_FACE: Final = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
_COLOURS: Final = TerminalTheme(
    (24, 28, 34),
    (214, 219, 226),
    [
        (24, 28, 34),
        (255, 107, 107),
        (94, 201, 138),
        (232, 184, 92),
        (106, 165, 255),
        (199, 146, 234),
        (79, 193, 204),
        (214, 219, 226),
    ],
)


class Pictured:
    """A view that shows what another one does, and writes the last screen when it closes."""

    def __init__(self, view: View, facts: Facts, file: Path) -> None:
        self._view = view
        self._facts = facts
        self._file = file
        self._last: tuple[Progress, float] | None = None

    def update(self, progress: Progress, at: float) -> None:
        self._last = progress, at
        self._view.update(progress, at)

    def close(self) -> None:
        """Raises UsageError: the file cannot be written."""
        self._view.close()
        if self._last is not None:
            write(self._file, svg(*self._last, self._facts))
            self._last = None


def svg(progress: Progress, at: float, facts: Facts) -> str:
    """The screen at a time, with the fonts of whoever looks at it: nothing is loaded from elsewhere."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    console.print(render(progress, facts, at))
    return _FONT_FACE.sub("", console.export_svg(title="paceline up", theme=_COLOURS, unique_id="screen"))


def write(file: Path, text: str) -> None:
    """Raises UsageError."""
    try:
        file.write_text(text)
    except OSError as error:
        raise UsageError(f"--picture: {file} cannot be written: {error.strerror}") from error
