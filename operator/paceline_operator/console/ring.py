"""A day of one policy's samples in a bounded number of bytes: the last hour finely, the rest coarsely. Pure."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
FINE: Final = 5.0
"""Seconds between two samples of the last hour."""
COARSE: Final = 120.0
"""Seconds between two older ones."""
_ROW: Final = struct.Struct("<d4f")
MOST_BYTES: Final = _ROW.size * round(HOUR / FINE + (DAY - HOUR) / COARSE + 2)
"""Of one ring: 34 kB."""
_NONE: Final = math.nan


class Sample(NamedTuple):
    """What a pass saw; NaN where it cannot be told."""

    at: float
    """Seconds since 1970."""
    latency: float = _NONE
    """Seconds, at the percentile that the objective is about."""
    objective: float = _NONE
    pods: float = _NONE
    applied: float = _NONE


@dataclass(frozen=True, slots=True)
class Ring:
    """Samples in the order of their times, packed."""

    fine: bytes = b""
    coarse: bytes = b""

    def __iter__(self) -> Iterator[Sample]:
        for row in (*_ROW.iter_unpack(self.coarse), *_ROW.iter_unpack(self.fine)):
            yield Sample(*row)

    @property
    def began(self) -> float | None:
        """Time of the first sample."""
        return _at(self.coarse or self.fine) if self.fine else None

    @property
    def recent(self) -> Iterator[Sample]:
        """Those of the hour before the last."""
        return map(Sample._make, _ROW.iter_unpack(self.fine))

    def with_sample(self, sample: Sample) -> "Ring":
        """The ring with one more; of those closer together than `FINE` the newest stays, at the time of the first."""
        fine, coarse = self.fine, self.coarse
        if fine and sample.at - _at(fine, -_ROW.size) < FINE:
            sample = sample._replace(at=_at(fine, -_ROW.size))
            fine = fine[: -_ROW.size]
        fine += _ROW.pack(*sample)
        while _at(fine) <= sample.at - HOUR:
            first, fine = fine[: _ROW.size], fine[_ROW.size :]
            if not coarse or _at(first) - _at(coarse, -_ROW.size) >= COARSE:
                coarse += first
        while coarse and _at(coarse) <= sample.at - DAY:
            coarse = coarse[_ROW.size :]
        return Ring(fine, coarse)


def _at(rows: bytes, place: int = 0) -> float:
    (seconds,) = struct.unpack_from("<d", rows, place if place >= 0 else len(rows) + place)
    return float(seconds)
