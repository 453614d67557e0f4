"""Where the application's modules are: the folders of `--app-dir`, then the current one, before what is installed."""

import os
import sys
from pathlib import Path


def extend_import_path() -> None:
    """Puts the folders first on `sys.path`; those that are there already stay where they are."""
    folders = [folder for folder in os.environ.get("PACELINE_APP_DIR", "").split(":") if folder]
    for folder in reversed([*folders, "."]):
        absolute = str(Path(folder).absolute())
        if absolute not in sys.path:
            sys.path.insert(0, absolute)
