"""The public API: hand over a pool or a function, and its capacity follows the tuning policy while the process runs."""

from typing import Final

from paceline.resources.registry import Tunables

__all__ = ["Tunables", "tunables"]

tunables: Final = Tunables()
"""The registry that `paceline serve` tunes; `Tunables()` makes an isolated one, for a library or a test."""
