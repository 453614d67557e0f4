import pytest
from paceline.document.bounds import Clamp, CompleteValues, HardCaps, grant
from paceline.document.model import Values
from paceline.document.tunables import AdmissionValues, CacheValues

START = CompleteValues(1, {"postgres": 5, "redis": 20}, {"responses": CacheValues(60)})
CAPS = HardCaps(4, {"postgres": 10})


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        pytest.param(Values(), START, id="nothing asked is the start values"),
        pytest.param(
            Values(3, {"postgres": 8}),
            CompleteValues(3, {"postgres": 8, "redis": 20}, START.caches),
            id="what is asked replaces single start values",
        ),
        pytest.param(
            Values(2, {"unheard": 7}, {"unheard": CacheValues(1)}),
            CompleteValues(2, {**START.pools, "unheard": 7}, {**START.caches, "unheard": CacheValues(1)}),
            id="names that nobody registered yet are kept for who may",
        ),
    ],
)
def test_within_the_caps_everything_is_granted(asked: Values, granted: CompleteValues) -> None:
    result = grant(asked, start=START, caps=CAPS, after_unclean_exit=False)
    assert result.values == granted
    assert result.clamped == ()


def test_what_exceeds_a_hard_cap_is_cut_and_listed() -> None:
    result = grant(Values(9, {"postgres": 30, "redis": 500}), start=START, caps=CAPS, after_unclean_exit=False)
    assert result.values == CompleteValues(4, {"postgres": 10, "redis": 500}, START.caches)
    assert result.clamped == (Clamp("workers", 9, 4, "cap"), Clamp("pools.postgres", 30, 10, "cap"))


def test_after_an_unclean_exit_each_tunable_is_the_smaller_of_document_and_start_value() -> None:
    asked = Values(3, {"postgres": 8, "redis": 2, "unheard": 7}, {"responses": CacheValues(300)})
    result = grant(asked, start=START, caps=CAPS, after_unclean_exit=True)
    assert result.values == CompleteValues(1, {"postgres": 5, "redis": 2}, {"responses": CacheValues(60)})
    assert result.clamped == (
        Clamp("workers", 3, 1, "uncleanExit"),
        Clamp("pools.postgres", 8, 5, "uncleanExit"),
        Clamp("caches.responses", 300, 60, "uncleanExit"),
    )


def test_admission_is_granted_after_a_crash_too_and_a_minimum_above_the_maximum_is_cut() -> None:
    for crashed in (False, True):
        asked = Values(1, admission=AdmissionValues(2, 40, 0.045))
        assert grant(asked, start=START, caps=CAPS, after_unclean_exit=crashed).values.admission == asked.admission
    result = grant(Values(admission=AdmissionValues(50, 9)), start=START, caps=CAPS, after_unclean_exit=False)
    assert result.values.admission == AdmissionValues(9, 9)
    assert result.clamped == (Clamp("admission.min", 50, 9, "cap"),)


def test_a_start_value_above_the_cap_is_cut_too() -> None:
    start = CompleteValues(8)
    assert grant(Values(), start=start, caps=CAPS, after_unclean_exit=False).values.workers == 4


def test_a_clamp_has_the_shape_of_state() -> None:
    wire = {"tunable": "workers", "asked": 9, "granted": 4, "by": "cap"}
    assert Clamp("workers", 9, 4, "cap").to_json() == wire
