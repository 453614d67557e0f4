"""How many connections PostgreSQL has from each address, some forty times a second, as PostgreSQL itself sees it."""

import subprocess
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

QUERY = """
SELECT extract(epoch FROM clock_timestamp()), client_addr, count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND client_addr IS NOT NULL GROUP BY client_addr
UNION ALL SELECT extract(epoch FROM clock_timestamp()), NULL, 0
\\watch 0.025
"""


@dataclass(frozen=True)
class Sample:
    """`address` is empty in the one row that every look at the server gives, even without connections."""

    time: float
    address: str
    connections: int


class ConnectionSamples:
    """A context manager around psql in the database's own pod; `samples` grows meanwhile."""

    def __init__(self, namespace: str, deployment: str) -> None:
        self._command = ["kubectl", "--namespace", namespace, "exec", "--stdin", f"deployment/{deployment}", "--"]
        self._command += ["psql", "--username=paceline", "--dbname=paceline", "--no-align", "--tuples-only"]
        self.samples: list[Sample] = []

    def __enter__(self) -> Self:
        self._psql = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._psql.stdin is not None
        self._psql.stdin.write(QUERY)
        self._psql.stdin.flush()
        self._reader = threading.Thread(target=self._read, name="connection samples")
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._psql.terminate()
        self._psql.wait()
        self._reader.join()
        for pipe in (self._psql.stdin, self._psql.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self._psql.stdout is not None
        for line in self._psql.stdout:
            fields = line.strip().split("|")
            if len(fields) == 3:
                self.samples.append(Sample(float(fields[0]), fields[1], int(fields[2])))

    def looks(self, since: float) -> int:
        """How often the server was looked at since a moment of wall-clock time."""
        return sum(not sample.address and sample.time >= since for sample in self.samples)

    def largest(self, address: str, since: float, until: float) -> int:
        """Most connections from an address in a stretch of wall-clock time."""
        found = [item.connections for item in self.samples if item.address == address and since <= item.time <= until]
        return max(found, default=0)
