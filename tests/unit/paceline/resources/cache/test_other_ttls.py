"""What other TTLs would have given, against a cache that is played out for each of them."""

import random
from collections import OrderedDict
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline.resources.cache.other_ttls import LADDER, MOST_KEYS, MOST_QUEUED, OtherTtls


def played(lookups: list[tuple[str, float]], ttl: float, room: int) -> tuple[int, int]:
    """Hits and misses of a real cache with this TTL and room, the one unused longest making room."""
    fetched: OrderedDict[str, float] = OrderedDict()
    hits = 0
    for key, now in lookups:
        if key in fetched and now - fetched[key] < ttl:
            hits += 1
            fetched.move_to_end(key)
        else:
            fetched.pop(key, None)
            fetched[key] = now
            if len(fetched) > room:
                fetched.popitem(last=False)
    return hits, len(lookups) - hits


def counted(ghosts: OtherTtls) -> dict[float, tuple[int, int]]:
    return {entry["ttlSeconds"]: (entry["hits"], entry["misses"]) for entry in ghosts.report()}


def look(ghosts: OtherTtls, key: str, now: float) -> None:
    """As the cache does."""
    if not hash(key) & ghosts.mask:
        ghosts.look((key, now))


gaps = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 200), st.booleans()), max_size=60)


@given(gaps=gaps)
def test_of_few_keys_every_ttl_counts_as_a_cache_with_that_ttl_would(gaps: list[tuple[str, int, bool]]) -> None:
    ghosts, now, lookups = OtherTtls(7, max_entries=1024), 1000.0, []
    for key, gap, report in gaps:
        now += gap
        lookups.append((key, now))
        look(ghosts, key, now)
        if report:
            ghosts.report()
    assert counted(ghosts) == {ttl: played(lookups, ttl, 1024) for ttl in sorted({*LADDER, 7})}


def test_one_key_is_followed_whatever_its_hash() -> None:
    for name in map(str, range(50)):
        ghosts = OtherTtls(60, max_entries=1024)
        look(ghosts, name, 0.0)
        look(ghosts, name, 9.0)
        assert counted(ghosts)[5] == (0, 2)
        assert counted(ghosts)[10] == (1, 1)


class Key(str):
    """A key whose hash is the same in every run."""

    __slots__ = ()

    def __hash__(self) -> int:
        return crc32(self.encode())


@pytest.mark.parametrize("room", [100, 1_000_000])
def test_many_keys_are_sampled_and_tell_the_same(room: int) -> None:
    ghosts, draw, lookups = OtherTtls(60, max_entries=room), random.Random(1), []
    warm, warm_lookups = counted(ghosts), 0
    for second in range(600):
        if second == 200:  # while keys turn out to be many, first lookups are over-represented
            warm, warm_lookups = counted(ghosts), len(lookups)
        for _ in range(100):
            lookups.append((Key(f"products:{int(draw.triangular(0, 5000, 0))}"), float(second)))
            look(ghosts, *lookups[-1])
        ghosts.report()
    now = counted(ghosts)
    for ttl in (1, 10, 60, 300, 3600):
        hits, misses = now[ttl]
        found, total = hits - warm[ttl][0], hits + misses - sum(warm[ttl])
        expected = played(lookups, ttl, room)[0] - played(lookups[:warm_lookups], ttl, room)[0]
        assert found / total == pytest.approx(expected / 40_000, abs=0.05), ttl
    assert total == 40_000 if room <= MOST_KEYS else 800 < total < 40_000 / 16


def test_room_is_kept_to() -> None:
    ghosts = OtherTtls(60, max_entries=3)
    for now, key in enumerate("abcdabcd"):
        look(ghosts, key, float(now))
        ghosts.report()
    assert counted(ghosts)[3600] == (0, 8), "four keys in turn, and room for three"


def test_the_key_unused_longest_makes_room() -> None:
    ghosts = OtherTtls(60, max_entries=2)
    for now, key in enumerate("abacab"):
        look(ghosts, key, float(now))
        ghosts.report()
    assert counted(ghosts)[3600] == (2, 4), "c takes the place of b, for a was used again"


def test_where_nobody_reports_the_queue_ends() -> None:
    ghosts = OtherTtls(60, max_entries=1024)
    for now in range(2 * MOST_QUEUED):
        look(ghosts, "k", float(now))
    assert sum(counted(ghosts)[1]) == MOST_QUEUED


def test_counters_never_go_back() -> None:
    ghosts, before = OtherTtls(0, max_entries=10_000), dict.fromkeys(LADDER, (0, 0))
    for turn in range(40):
        for number in range(100):
            look(ghosts, f"{turn * number}", float(turn))
        after: dict[Any, tuple[int, int]] = counted(ghosts)
        assert all(now >= then for ttl in LADDER for now, then in zip(after[ttl], before[ttl], strict=True))
        before = after
