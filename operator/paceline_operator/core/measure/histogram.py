"""The base-2 exponential histogram of OpenTelemetry, read from the wire: deltas, exact merging, quantiles.

Bucket i holds (base^i, base^(i+1)] with base = 2^(2^-scale). A percentile is never averaged: counts are added and the
quantile is taken of the sum.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf, sqrt
from typing import Any

from paceline_operator.core.model.tunables import NOTHING


class CounterReset(ValueError):
    """A cumulative counter went back: the two ends are not of one life of the pod."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bucket; `total` is the sum of what was recorded, in the unit of the values."""

    scale: int = 4
    zero_count: int = 0
    buckets: Mapping[int, int] = field(default_factory=lambda: NOTHING)
    total: float = 0.0

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "Histogram":
        """Reads `{"scale", "zeroCount", "offset", "counts", "count", "sum"}`.

        Raises:
            ValueError, KeyError, TypeError: it is not a histogram of what can have been measured.
        """
        buckets = {i: int(n) for i, n in enumerate(wire["counts"], int(wire["offset"])) if n}
        histogram = cls(int(wire["scale"]), int(wire["zeroCount"]), buckets, float(wire["sum"]))
        if histogram.count != wire["count"] or min(histogram.zero_count, *buckets.values(), 0) < 0:
            raise ValueError(f"a histogram says count {wire['count']} and holds {histogram.count}")
        if not 0 <= histogram.total < inf or not histogram._in_range:
            raise ValueError(f"a histogram says scale {wire['scale']}, offset {wire['offset']}, sum {wire['sum']}")
        return histogram

    @property
    def _in_range(self) -> bool:
        """Whether all values are doubles, at a scale that OpenTelemetry knows."""
        exponents = [index * 2.0**-self.scale for index in self.buckets if -10 <= self.scale <= 20]
        return len(exponents) == len(self.buckets) and all(-1075 <= e < 1023 for e in exponents)

    @property
    def count(self) -> int:
        return self.zero_count + sum(self.buckets.values())

    @property
    def mean(self) -> float | None:
        """None of an empty histogram."""
        return self.total / self.count if self.count else None

    def downscaled(self, scale: int) -> "Histogram":
        """The same counts in buckets 2^(self.scale - scale) times as wide; exact, since the buckets nest."""
        shift = self.scale - scale
        if shift == 0:
            return self
        buckets: Counter[int] = Counter()
        for index, number in self.buckets.items():
            buckets[index >> shift] += number
        return Histogram(scale, self.zero_count, dict(buckets), self.total)

    def since(self, earlier: "Histogram") -> "Histogram":
        """What was recorded between two reports of one process.

        Raises:
            CounterReset: some count went back.
        """
        scale = min(self.scale, earlier.scale)
        new, old = self.downscaled(scale), earlier.downscaled(scale)
        buckets = {
            i: n for i in new.buckets.keys() | old.buckets if (n := new.buckets.get(i, 0) - old.buckets.get(i, 0))
        }
        zero_count = new.zero_count - old.zero_count
        if zero_count < 0 or any(number < 0 for number in buckets.values()):
            raise CounterReset("a histogram went back")
        return Histogram(scale, zero_count, buckets, max(0.0, new.total - old.total))

    def share_within(self, limit: float) -> float:
        """The share of the values up to `limit`, 1 of an empty histogram; a bucket across it counts as above it.

        Worked example, scale 0: of 3 values in (1, 2] and 1 in (2, 4] a share of 0.75 is within 3.
        """
        within = sum(n for index, n in self.buckets.items() if 2.0 ** (2.0**-self.scale * (index + 1)) <= limit)
        return (self.zero_count + within) / self.count if self.count else 1.0

    def quantile(self, q: float) -> float | None:
        """The value below which a share `q` lies; None of an empty histogram.

        Inside a bucket the values are taken as spread evenly in the logarithm. The true one lies in the same bucket:
        the error is below its width, 2^(2^-scale) - 1, 4.4 % at scale 4.
        Worked example, scale 0: 10 values in bucket 0 = (1, 2]; the median is 1 · 2^0.5 = 1.414.
        """
        if not self.count:
            return None
        rank = q * self.count - self.zero_count
        if rank <= 0:
            return 0.0
        return self._ranked(rank)

    def interval(self, q: float, deviations: float) -> tuple[float, float] | None:
        """Between which values the true quantile lies, whatever the distribution: binomial order statistics.

        Of n values k are below the true quantile, k binomial with mean nq and variance nq(1-q); so it lies between the
        values of the ranks `nq - z·√(nq(1-q))` and `nq + z·√(nq(1-q)) + 1`, z being `deviations`. None where there are
        too few values for the upper rank.
        Source: W. J. Conover, "Practical Nonparametric Statistics", ch. 3.2.
        Worked example: p95 of 2000 values, z = 2.58 (99 %): 1900 ± 25, the values of the ranks 1875 and 1926: between
        p93.7 and p96.3. Of 80 values: 76 ± 5 and 1 more: there is no 82nd, and None.
        """
        spread = deviations * sqrt(self.count * q * (1 - q))
        upper = self.count * q + spread + 1
        low, high = self.quantile(max(0.0, q * self.count - spread) / max(1, self.count)), None
        if upper <= self.count:
            high = self.quantile(upper / self.count)
        return None if low is None or high is None else (low, high)

    def _ranked(self, rank: float) -> float:
        width = 2.0**-self.scale
        *lower, highest = sorted(self.buckets)
        for index in lower:
            if rank <= self.buckets[index]:
                return float(2.0 ** (width * (index + rank / self.buckets[index])))
            rank -= self.buckets[index]
        return float(2.0 ** (width * (highest + min(1.0, rank / self.buckets[highest]))))


def merge(histograms: Iterable[Histogram]) -> Histogram:
    """Adds histograms at the coarsest of their scales; exact. Nothing gives an empty histogram."""
    found = tuple(histograms)
    if not found:
        return Histogram()
    scale = min(histogram.scale for histogram in found)
    buckets: Counter[int] = Counter()
    for histogram in found:
        buckets.update(histogram.downscaled(scale).buckets)
    return Histogram(scale, sum(h.zero_count for h in found), dict(buckets), sum(h.total for h in found))
