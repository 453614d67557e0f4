"""The demonstration: a service that starts mis-tuned under a steady load that it can easily serve once it is tuned.

Every read waits 20 ms for the database, as with one in another region: waiting, not CPU, since load, service, operator
and databases share one small machine. The service starts with one worker and one connection to PostgreSQL, so it
serves at most 1 / 21 ms = 47 requests/s, and the load asks for 100: requests queue, and p95 grows to seconds.
By Little's law 100/s · 21 ms = 2.1 connections are busy on average; with 4 the queue is gone, with 7 hardly anybody
waits and p95 is near 25 ms.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from paceline.load.openloop import Plan
from paceline.load.target import parse_target

_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {"PACELINE_WORKERS": "1", "API_POSTGRES_LIMIT": "1", "API_SIMULATED_DISTANCE_SECONDS": "0.02"}
)


@dataclass(frozen=True, slots=True)
class Demo:
    """What the load asks for, and with what settings the service starts."""

    rate: float = 100.0
    connections: int = 32
    """Also bounds how many requests the overloaded service holds at a time: the rest waits at the client."""
    path: str = "/products?limit=20"
    settings: Mapping[str, str] = field(default_factory=lambda: _SETTINGS)

    def plan(self, port: int) -> Plan:
        """Until it is stopped. No request of the overload may fail, so clients are patient."""
        return Plan(
            parse_target(f"http://127.0.0.1:{port}{self.path}"),
            rate=self.rate,
            connections=self.connections,
            timeout_seconds=60.0,
            connection_seconds=5.0,
        )
