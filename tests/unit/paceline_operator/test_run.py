"""How kopf is set, and the two small rules of the process's edge."""

from itertools import islice

import pytest
from paceline_operator.cluster.watches import EndlessBackoffs
from paceline_operator.errors import UsageError
from paceline_operator.listening import split_bind
from paceline_operator.run import kopf_settings


def test_backoffs_never_end_and_are_spread() -> None:
    late = list(islice(iter(EndlessBackoffs()), 2000))[8:]
    assert all(20 <= seconds <= 40 for seconds in late)
    assert max(late) - min(late) > 10


def test_backoffs_start_anew_for_each_outage() -> None:
    backoffs = EndlessBackoffs()
    assert [next(iter(backoffs)) for _ in range(3)] == [1, 1, 1]


def test_kopf_tries_for_ever() -> None:
    assert isinstance(kopf_settings(10).networking.error_backoffs, EndlessBackoffs)


def test_kopf_stores_nothing_under_its_own_names() -> None:
    settings = kopf_settings(10)
    assert settings.persistence.finalizer == "paceline.dev/operator"
    assert settings.persistence.progress_storage.prefix == "paceline.dev"
    assert settings.persistence.diffbase_storage.prefix == "paceline.dev"


@pytest.mark.parametrize(
    ("bind", "address"),
    [("0.0.0.0:8080", ("0.0.0.0", 8080)), ("[::1]:9", ("::1", 9)), ("localhost:65535", ("localhost", 65535))],
)
def test_an_address(bind: str, address: tuple[str, int]) -> None:
    assert split_bind(bind) == address


@pytest.mark.parametrize("bind", ["8080", ":8080", "host:", "host:http", "host:65536"])
def test_what_is_no_address_is_refused_with_an_example(bind: str) -> None:
    with pytest.raises(UsageError, match=r"such as 0\.0\.0\.0:8080"):
        split_bind(bind)
