"""Values and changes on the wire and back."""

import pytest
from paceline_operator.core.model.decision import Change, growing
from paceline_operator.core.model.policy import Mode
from paceline_operator.core.model.tunables import (
    ADMISSION_MAX,
    ADMISSION_MIN,
    ADMISSION_P95,
    DESCRIPTORS,
    WORKERS,
    Kind,
    Tunable,
    cache,
    in_a_pod,
    pool,
    processes,
)
from paceline_operator.core.model.values import (
    change_from_wire,
    change_to_wire,
    reported,
    tunable_from_wire,
    tunable_to_wire,
    values_from_wire,
    values_to_wire,
)

ADMISSION = {ADMISSION_MIN: 16, ADMISSION_MAX: 512, ADMISSION_P95: 0.045}
VALUES = {WORKERS: 4, pool("postgres"): 8, cache("responses"): 60.0, cache("short"): 0.5, **ADMISSION}
WIRE = {
    "workers": 4,
    "pools": {"postgres": 8},
    "caches": {"responses": {"ttlSeconds": 60}, "short": {"ttlSeconds": 0.5}},
    "admission": {"min": 16, "max": 512, "p95Seconds": 0.045},
}


def test_values_survive_the_wire() -> None:
    assert values_to_wire(VALUES) == WIRE
    assert values_from_wire(WIRE) == VALUES


def test_absent_values_stay_absent() -> None:
    assert values_to_wire({}) == {"pools": {}, "caches": {}}
    assert values_from_wire({"admission": {"min": 1}, "pools": None}) == {}


def test_admission_that_is_off_is_not_written() -> None:
    assert "admission" not in values_to_wire(dict.fromkeys(ADMISSION, 0.0))
    without_objective = values_to_wire({**ADMISSION, ADMISSION_P95: 0.0})
    assert without_objective["admission"] == {"min": 16, "max": 512}
    assert values_from_wire(without_objective) == {ADMISSION_MIN: 16, ADMISSION_MAX: 512}


@pytest.mark.parametrize("tunable", VALUES, ids=str)
def test_a_tunable_survives_the_wire(tunable: Tunable) -> None:
    assert tunable_from_wire(tunable_to_wire(tunable)) == tunable


@pytest.mark.parametrize("text", ["", "pools", "pools.", "memory.x", "worker"])
def test_what_names_no_tunable_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"pools\.NAME"):
        tunable_from_wire(text)


@pytest.mark.parametrize("change", [Change(WORKERS, 2, 4), Change(cache("responses"), None, 0.5)], ids=str)
def test_a_change_survives_the_wire(change: Change) -> None:
    assert change_from_wire(change_to_wire(change)) == change


def test_changes_read_like_sentences() -> None:
    assert str(Change(WORKERS, 2, 4)) == "workers 2→4"
    assert str(Change(cache("responses"), 60, 5)) == "responses 1m→5s"
    assert str(Change(pool("postgres"), None, 5)) == "postgres ?→5"
    assert str(Change(ADMISSION_MAX, 0, 512)) == "admission.max off→512"
    assert str(Change(ADMISSION_P95, 0.045, 0.1)) == "admission.p95Seconds 45ms→100ms"


def test_a_pod_has_the_connections_of_all_its_workers() -> None:
    four = {WORKERS: 4, pool("postgres"): 5, cache("responses"): 60}

    assert [in_a_pod(four, tunable) for tunable in four] == [4, 20, 60]
    assert in_a_pod({pool("postgres"): 5}, pool("postgres")) == 5


def test_every_kind_has_a_descriptor_that_says_where_it_is_on_the_wire() -> None:
    assert {*DESCRIPTORS} == {*Kind}
    assert {each.section for each in DESCRIPTORS.values()} == WIRE.keys()


def test_process_pools_are_written_among_the_pools_and_told_apart_by_what_pods_report() -> None:
    render = processes("render")

    assert values_to_wire({pool("postgres"): 8, render: 2}) == {"pools": {"postgres": 8, "render": 2}, "caches": {}}
    assert tunable_to_wire(render) == "pools.render"
    assert tunable_from_wire("pools.render") == pool("render")
    assert reported("pools", "processes", "render") == render
    assert reported("pools", "asyncpg", "postgres") == pool("postgres")


def test_a_process_pool_does_not_multiply_with_the_workers() -> None:
    before = {WORKERS: 1, pool("postgres"): 4, processes("render"): 2}

    assert growing(before, {**before, WORKERS: 2}) == (WORKERS, pool("postgres"))
    assert growing(before, {**before, processes("render"): 3}) == (processes("render"),)


def test_a_mode_is_capped_by_a_less_powerful_one() -> None:
    assert Mode.AUTO.capped(Mode.RECOMMEND) is Mode.RECOMMEND
    assert Mode.OFF.capped(Mode.AUTO) is Mode.OFF
