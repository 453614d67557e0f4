"""What a load run saw, from the client's side. Counting only: no clock, no network."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

_LONGEST_MICROSECONDS: Final = 3_600_000_000
_SIGNIFICANT_DIGITS: Final = 3
KEPT_RATIO: Final = 0.99
"""A run kept its rate when this share of its requests left before the run's end."""


@dataclass(frozen=True, slots=True)
class Window:
    """One stretch of a run. Durations are seconds from the intended start; percentiles are None without responses."""

    seconds: float
    succeeded: int
    failed: int
    failures: dict[str, int]
    p50: float | None
    p95: float | None
    p99: float | None
    late: float
    """The longest that a request left after it was due although a connection was free: the generator's own delay. Much
    of it means that this machine was too busy to measure."""
    histogram: Any = field(repr=False, compare=False)
    """Microseconds; what lets windows be merged exactly, since percentiles cannot be averaged."""


def merge(windows: Iterable[Window]) -> Window:
    """Adds windows up, as if they had been one."""
    recorder, seconds = Recorder(), 0.0
    for window in windows:
        seconds += window.seconds
        recorder.failures.update(window.failures)
        recorder.delayed(window.late)
        recorder.histogram.add(window.histogram)
    return recorder.window(seconds)


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole run. `sent_in_time` counts the requests that left, or tried to, before the run's planned end."""

    url: str
    rate: float
    planned: int
    sent_in_time: int
    total: Window
    p90: float | None
    p999: float | None
    maximum: float | None

    @property
    def kept_rate(self) -> bool:
        """False when the generator, or a shortage of connections, held requests back to the end."""
        return self.sent_in_time >= KEPT_RATIO * self.planned

    @property
    def succeeded(self) -> bool:
        return self.kept_rate and self.total.failed == 0 and self.total.succeeded > 0

    def to_json(self) -> dict[str, Any]:
        total = self.total
        return {
            "url": self.url,
            "rate": self.rate,
            "seconds": round(total.seconds, 3),
            "planned": self.planned,
            "sentInTime": self.sent_in_time,
            "keptRate": self.kept_rate,
            "succeeded": total.succeeded,
            "failed": total.failed,
            "failures": total.failures,
            "generatorLateSeconds": round(total.late, 6),
            "latencySeconds": {
                "p50": total.p50,
                "p90": self.p90,
                "p95": total.p95,
                "p99": total.p99,
                "p999": self.p999,
                "max": self.maximum,
            },
        }


@dataclass(slots=True)
class Recorder:
    """Counts since it was made."""

    failures: Counter[str] = field(default_factory=Counter)
    late: float = 0.0
    histogram: Any = field(default_factory=lambda: HdrHistogram(1, _LONGEST_MICROSECONDS, _SIGNIFICANT_DIGITS))

    def succeeded(self, seconds: float) -> None:
        self.histogram.record_value(max(1, int(seconds * 1e6)))

    def delayed(self, seconds: float) -> None:
        self.late = max(self.late, seconds)

    def failed(self, kind: str) -> None:
        self.failures[kind] += 1

    def percentile(self, percent: float) -> float | None:
        """Seconds, or None while there was no response."""
        if self.histogram.get_total_count() == 0:
            return None
        return float(self.histogram.get_value_at_percentile(percent)) / 1e6

    def window(self, seconds: float) -> Window:
        """What was counted, over `seconds`. The recorder must not be used after this."""
        return Window(
            seconds=seconds,
            succeeded=self.histogram.get_total_count(),
            failed=self.failures.total(),
            failures=dict(self.failures),
            p50=self.percentile(50),
            p95=self.percentile(95),
            p99=self.percentile(99),
            late=self.late,
            histogram=self.histogram,
        )
