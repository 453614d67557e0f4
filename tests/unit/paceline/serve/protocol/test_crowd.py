"""Which connections go when there are too many."""

from dataclasses import dataclass, field

import pytest
from paceline.serve.protocol.crowd import Crowd, Standing, least_deserving, most_connections


@dataclass(eq=False)
class Connection:
    """One that is asked to go."""

    place: Standing | None
    goes: bool = True
    dropped: bool = field(default=False)

    def standing(self) -> Standing | None:
        return self.place

    def drop(self) -> bool:
        self.dropped = self.goes
        return self.goes


@pytest.mark.parametrize(
    ("asked", "descriptors", "in_use", "most"),
    [
        (0, 256, 40, 152),
        (0, 1024, 40, 728),
        (0, 1_048_576, 40, 1_047_512),
        (0, -1, 40, 1_047_512),
        (100, 256, 40, 100),
        (1000, 256, 40, 152),
        (0, 64, 60, 8),
    ],
)
def test_descriptors_are_left_to_others(asked: int, descriptors: int, in_use: int, most: int) -> None:
    assert most_connections(asked, descriptors=descriptors, in_use=in_use) == most


def test_the_silent_go_first_and_of_them_the_oldest() -> None:
    silent, later, half, idle = (Connection(Standing(*place)) for place in ((0, 1.0), (0, 2.0), (1, 0.0), (2, 0.0)))
    busy = Connection(None)
    assert least_deserving([busy, idle, half, later, silent], 3) == [silent, later, half]
    assert least_deserving([busy], 3) == []


def test_room_is_made_only_when_there_is_none() -> None:
    silent, busy = Connection(Standing(0, 1.0)), Connection(None)
    assert Crowd([silent, busy], most=3).has_room_for(0)
    assert not silent.dropped
    assert Crowd([silent, busy], most=3).has_room_for(1)
    assert silent.dropped


def test_who_has_just_sent_a_request_stays_and_others_are_left_alone() -> None:
    assert not Crowd([Connection(Standing(0, 1.0), goes=False), object(), Connection(None)], most=3).has_room_for(0)
