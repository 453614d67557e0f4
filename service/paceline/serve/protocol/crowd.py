"""The connections of one process: never more than its file descriptors allow, and room for a new one.

A client that has sent half a request or nothing holds a descriptor as long as its time limit. When descriptors become
few, those who wait for nothing from us go first, the oldest of them; whoever is served stays.
"""

import os
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple, Protocol, runtime_checkable

_RESERVED_SHARE: Final = 4  # a quarter of the descriptors is left to pools, files and logs
_LEAST_RESERVED, _MOST_RESERVED = 16, 1024
_FEWEST_CONNECTIONS: Final = 8
_UNLIMITED: Final = 2**20
_BATCH: Final = 32  # a 32nd of the connections goes at once, so that a large crowd is not sorted for each


class Standing(NamedTuple):
    """How much a connection deserves its place: the smallest goes first."""

    rank: int
    """0: nothing was received; then half a head, idle between requests, half a body, a response that is not read."""
    since: float
    """Time of the event loop; among equals the oldest goes."""


@runtime_checkable
class Expendable(Protocol):
    """A connection that may be asked to go."""

    def standing(self) -> Standing | None:
        """None: it is being served and stays."""

    def drop(self) -> bool:
        """Closes it at once. False: a request has just arrived, and it stays."""


class Crowd:
    """Belongs to one event loop."""

    def __init__(self, connections: Collection[object], most: int) -> None:
        """
        Args:
            connections: all that live, Expendable or not; the server's own, which changes.
            most: so many at a time.
        """
        self._connections = connections
        self._most = most

    def __len__(self) -> int:
        return len(self._connections)

    def has_room_for(self, connecting: int) -> bool:
        """Whether one more may come, beside those that are `connecting`; makes room if it can."""
        return len(self) + connecting < self._most or self.make_room()

    def make_room(self) -> bool:
        """Closes some that are not being served. False: there is none."""
        candidates = [each for each in self._connections if isinstance(each, Expendable)]
        dropped = [each.drop() for each in least_deserving(candidates, max(1, self._most // _BATCH))]
        return any(dropped)


def least_deserving(connections: Iterable[Expendable], count: int) -> list[Expendable]:
    """Those that go first, at most `count`."""
    standing = [(place, each) for each in connections if (place := each.standing()) is not None]
    return [each for _, each in sorted(standing, key=lambda pair: pair[0])[:count]]


def most_connections(asked: int, *, descriptors: int, in_use: int) -> int:
    """How many connections a process may hold.

    Args:
        asked: the setting; 0 for as many as the descriptors allow.
        descriptors: that the process may have, RLIMIT_NOFILE.
        in_use: how many it has, before the first connection.
    """
    available = _UNLIMITED if descriptors < 0 else descriptors
    reserved = min(max(available // _RESERVED_SHARE, _LEAST_RESERVED), _MOST_RESERVED)
    possible = max(_FEWEST_CONNECTIONS, available - in_use - reserved)
    return min(asked, possible) if asked else possible


def crowd_of(connections: Collection[object], asked: int) -> Crowd:
    """The crowd of this process, as it is before the first connection."""
    descriptors = os.sysconf("SC_OPEN_MAX")  # RLIMIT_NOFILE, the soft one
    in_use = len(os.listdir("/proc/self/fd"))
    return Crowd(connections, most_connections(asked, descriptors=descriptors, in_use=in_use))
