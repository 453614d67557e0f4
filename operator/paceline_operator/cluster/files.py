"""Small files, read whole and replaced atomically. Blocking, but short: meant for a folder on this machine."""

import os
from pathlib import Path


def read(path: Path) -> bytes | None:
    """The content; None while there is no such file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def write(path: Path, content: bytes) -> None:
    """Readers see the old content or the new, never a part."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.replace(path)
