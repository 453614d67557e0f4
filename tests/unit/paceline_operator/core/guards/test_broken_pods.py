"""One broken pod stops nothing: the sound 80 % are decided on, and nothing shrinks that unseen pods may need."""

from dataclasses import replace
from datetime import timedelta

import pytest
from paceline_operator.core.guards.gates import (
    insufficient_telemetry,
    not_converged,
    replicas_changed,
    runtime_too_old,
    shrink_blocked,
    whose,
)
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.situation.memory import Memory, Replicas
from paceline_operator.core.situation.situation import Fleet, LeftOut
from situations import NOW, fleet, observation, situation

TEN = fleet(total=10, reporting=10, applied=10)


@pytest.mark.parametrize(("applied", "holds"), [(10, False), (8, False), (7, True)])
def test_eight_of_ten_pods_that_have_acked_are_enough(applied: int, holds: bool) -> None:
    seen = situation(fleet=replace(TEN, applied=applied, shrink_blocked="postgres holds 5 of 3"))

    assert bool(not_converged(seen)) is holds
    assert bool(shrink_blocked(seen)) is holds


@pytest.mark.parametrize(("old", "holds"), [((), False), (("a", "b"), False), (("a", "b", "c"), True)])
def test_two_of_ten_pods_may_be_too_old(old: tuple[str, ...], holds: bool) -> None:
    assert bool(runtime_too_old(situation(fleet=replace(TEN, too_old=old)))) is holds


@pytest.mark.parametrize(
    ("pods", "newcomers", "holds"), [(8, 0, False), (7, 0, True), (6, 3, False), (4, 6, False), (3, 9, True)]
)
def test_pods_without_a_whole_window_yet_are_not_missed_up_to_a_half(pods: int, newcomers: int, holds: bool) -> None:
    seen = situation(fleet=replace(TEN, newcomers=newcomers), observation=observation(pods=pods))

    assert bool(insufficient_telemetry(seen)) is holds


@pytest.mark.parametrize(("seconds", "holds"), [(60, False), (140, False), (160, True), (86400, True)])
def test_an_autoscaler_that_moves_all_the_time_is_not_waited_for(seconds: int, holds: bool) -> None:
    memory = Memory(replicas=Replicas(9, NOW - timedelta(seconds=seconds)))
    seen = situation(fleet=replace(TEN, replicas=10), memory=memory)

    assert bool(replicas_changed(seen)) is holds


@pytest.mark.parametrize(
    ("total", "idle", "seen", "may"), [(10, 0, 9, True), (10, 0, 8, False), (10, 2, 8, True), (4, 0, 3, False)]
)
def test_nothing_shrinks_while_more_than_a_tenth_may_serve_unseen(total: int, idle: int, seen: int, may: bool) -> None:
    assert Fleet(total=total, idle=idle).may_shrink(seen) is may


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ((), ""),
        (("a",), "; left out: a (Silent)"),
        (("a", "b", "c", "d", "e"), "; left out: a (Silent), b (Silent), c (Silent) and 2 more"),
    ],
)
def test_a_message_names_the_first_pods(names: tuple[str, ...], text: str) -> None:
    assert whose(Fleet(left_out=tuple(LeftOut(name, "Silent", "") for name in names))) == text


def test_what_nobody_can_measure_is_written_as_nothing() -> None:
    assert format_duration(1e-12) == "0s"


def test_a_fleet_has_converged_when_every_pod_has_acked() -> None:
    assert TEN.converged
    assert not replace(TEN, applied=9).converged
