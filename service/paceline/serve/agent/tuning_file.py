"""Reads the tuning document when it changes. It may appear, change and vanish; kubelet swaps it by a symlink.

Judges nothing: what the bytes mean is for `document/adoption.py`.
"""

from pathlib import Path

from paceline.serve.rundir import stamp


class TuningFile:
    """Polled by `stat`; `path` None means that there never is a document."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    @property
    def absent(self) -> bool:
        """Whether there was no file at the last `read`."""
        return self._seen is None

    @property
    def changed(self) -> bool:
        """Whether it is another one than at the last `read`: one `stat`."""
        return self._path is not None and stamp(self._path) != self._seen

    def read(self) -> bytes | None:
        """The content if it changed since the last time; None if not, or if there is no file.

        Raises:
            OSError: the file is there and cannot be read; the next call tries again.
        """
        if self._path is None:
            return None
        fresh = stamp(self._path)
        if fresh is None or fresh == self._seen:
            self._seen = fresh
            return None
        # The stamp is older than the content at worst: then the next call reads again.
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            self._seen = None
            return None
        self._seen = fresh
        return content
