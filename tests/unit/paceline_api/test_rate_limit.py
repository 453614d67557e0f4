"""Who counts as one client, and what a verdict says."""

import doctest
from types import ModuleType

import pytest
from paceline_api import rate_limit, windows
from paceline_api.rate_limit import client_key
from paceline_api.windows import Quota, Verdict, judge

QUOTA = Quota("api", 100, 60)


@pytest.mark.parametrize(
    ("client", "key"),
    [
        (("192.0.2.7", 50_000), "192.0.2.7"),
        (("2001:db8:1:2:aaaa::1", 1), "2001:db8:1:2::/64"),
        (("2001:db8:1:2:bbbb::9", 2), "2001:db8:1:2::/64"),
        (("2001:db8:1:3::1", 1), "2001:db8:1:3::/64"),
        (("::ffff:192.0.2.7", 1), "192.0.2.7"),
        (("fe80::1%eth0", 1), "fe80::/64"),
        (None, "-"),
        (("192.0.2.7:443", 0), "?"),
        (("[2001:db8::1]:443", 0), "?"),
        (("unix:/a:b", 0), "?"),
    ],
    ids=[
        *["IPv4", "IPv6", "the same network", "another network", "IPv4 in IPv6", "with a zone", "a Unix socket"],
        *["with a port", "in brackets", "no address"],
    ],
)
def test_one_client(client: tuple[str, int] | None, key: str) -> None:
    assert client_key({"client": client}) == key


@pytest.mark.parametrize(
    ("count", "seconds_left", "verdict"),
    [
        (1, 60.0, Verdict(True, 99, 60)),
        (99, 0.2, Verdict(True, 1, 1)),
        (100, 30.1, Verdict(True, 0, 31)),
        (101, 30.0, Verdict(False, 0, 30)),
        (500, -0.1, Verdict(False, 0, 1)),
        (1, 60.3, Verdict(True, 99, 60)),
    ],
)
def test_a_verdict(count: int, seconds_left: float, verdict: Verdict) -> None:
    assert judge(QUOTA, count, seconds_left) == verdict


@pytest.mark.parametrize("module", [rate_limit, windows], ids=lambda module: module.__name__)
def test_the_worked_examples_are_right(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0
