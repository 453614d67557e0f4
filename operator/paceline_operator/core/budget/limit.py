"""How many connections there are to divide: a parsed ConnectionBudget, without its wire format."""

from dataclasses import dataclass

EVERYWHERE = "*"


@dataclass(frozen=True, slots=True)
class Pooler:
    """The two limits of a pooler, all of its instances together."""

    client_connections: int
    server_connections: int


@dataclass(frozen=True, slots=True)
class ConnectionBudget:
    """What one server accepts, and who may draw from it."""

    max_connections: int
    reserved: int = 0
    pooler: Pooler | None = None
    """None: pods connect to the server itself."""
    namespaces: frozenset[str] = frozenset()
    """Whose policies may refer to it."""

    def connections(self, learnt: int | None = None) -> int:
        """What there is to divide. `learnt` is the server's own limit, as pods have seen it: it may only lower a
        budget, and means nothing behind a pooler, which says of itself what it likes.

        Worked example: 200, 10 reserved, and a server that says 100 → 90.
        """
        if self.pooler is not None:
            return self.pooler.client_connections
        most = self.max_connections if learnt is None else min(self.max_connections, learnt)
        return max(0, most - self.reserved)

    def allows(self, namespace: str) -> bool:
        """Whether policies of the namespace may refer to it."""
        return EVERYWHERE in self.namespaces or namespace in self.namespaces
