"""What is promised of response times: of which requests, at which percentile, within which time.

A request counts towards the first objective whose pattern matches its route group, `METHOD /template`; what none
matches counts towards the objective of all the others. `*` stands for any text, also for none and across slashes.

| pattern | matches | does not match |
| --- | --- | --- |
| `GET /reports/*` | `GET /reports/{id}`, `GET /reports/{id}/pages` | `GET /reports`, `POST /reports/{id}` |
| `* /admin/*` | `GET /admin/users`, `DELETE /admin/users/{id}` | `GET /admin` |
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

P95: Final = 0.95
P99: Final = 0.99


@dataclass(frozen=True, slots=True)
class Target:
    """A share of the responses of some requests that come within a time."""

    limit: timedelta
    quantile: float = P95
    match: str = ""
    """The pattern of their routes; empty: the requests that no other target is about."""

    @property
    def name(self) -> str:
        """`p95`, or `GET /reports/* p99`."""
        return f"{self.match} {self.percentile}".lstrip()

    @property
    def percentile(self) -> str:
        """`p95` or `p99`."""
        return f"p{round(100 * self.quantile)}"


def matches(pattern: str, group: str) -> bool:
    """Whether a route group is one of those that a pattern names. Takes time in proportion to their length."""
    first, *rest = pattern.split("*")
    if not rest:
        return group == pattern
    if not group.startswith(first):
        return False
    place = len(first)
    for part in rest[:-1]:
        found = group.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return group.endswith(rest[-1]) and len(group) - len(rest[-1]) >= place
