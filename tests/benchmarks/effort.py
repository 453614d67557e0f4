"""How long to measure: the one thing that whoever runs a benchmark chooses."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """PAIRS and SECONDS of the environment; published figures need five pairs or more."""

    pairs: int
    """Interleaved measurements of each variant."""
    seconds: float
    """Of one measurement."""
