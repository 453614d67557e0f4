"""When requests are due, decided before the first is sent. Pure."""

from collections.abc import Iterator
from itertools import count
from random import Random


def due_times(rate: float, seconds: float | None = None, seed: int | None = None) -> Iterator[float]:
    """Seconds from the start, in rising order; without `seconds` they never end.

    Without a seed all gaps are equal. With one they are drawn from the exponential distribution: Poisson arrivals, as
    of many users who do not know of each other, whose bursts make queues. Worked example: 4 a second for 1 s are due
    at 0, 0.25, 0.5 and 0.75.
    """
    if seed is None:
        numbers = count() if seconds is None else range(round(rate * seconds))
        yield from (number / rate for number in numbers)
        return
    drawn = Random(seed)  # noqa: S311 - a load, not a secret
    due = drawn.expovariate(rate)
    while seconds is None or due < seconds:
        yield due
        due += drawn.expovariate(rate)
